"""The running machine: supervisor, workers and their tasks, ownership, metrics."""
