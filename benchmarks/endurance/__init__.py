"""The parts of `benchmarks.camera_losses` and `benchmarks.camera_hours`."""
