"""The parts of `benchmarks.fault_storm`."""
