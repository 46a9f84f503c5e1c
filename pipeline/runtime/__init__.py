"""A running pipeline: supervisor, workers and their tasks, ownership, metrics."""
