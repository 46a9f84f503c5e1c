"""The page to look at: a server that reads a run's status and files, and owns nothing of the pipeline."""
