"""``python -m raftline``: the command line."""

from raftline.cli.app import main

if __name__ == "__main__":
    main()
