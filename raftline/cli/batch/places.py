"""Which place an output names."""

from __future__ import annotations

from pathlib import Path

from pipeline.remote.urls import is_remote
from raftline.cli.batch.local_place import LocalPlace
from raftline.cli.batch.place import Place


def open_place(output: str, scratch: Path) -> Place:
    """The place that ``-o`` names.

    Args:
        output: Path or URL.
        scratch: Folder for what goes to a store.
    """
    from raftline.cli.batch.remote_place import RemotePlace

    return RemotePlace(output, scratch) if is_remote(output) else LocalPlace(output)
