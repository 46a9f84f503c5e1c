"""Motion in an area, looked for in what was recorded: by the library, in a process of its own, beside the pipeline."""
