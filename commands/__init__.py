"""The commands of ``run_pipeline.py``, one file each."""
