#!/usr/bin/env python3
"""raftline's command line: ``run_pipeline.py --help``."""

from raftline.cli.app import main

if __name__ == "__main__":
    main()
