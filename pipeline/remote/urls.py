"""Which URLs are of stores, and how the names in them are put together."""

from __future__ import annotations

import posixpath

from pipeline.input_paths import scheme_of

PACKAGES = {
    "s3": "'raftline[remote]'",
    "s3a": "'raftline[remote]'",
    "gs": "'raftline[remote]' gcsfs",
    "gcs": "'raftline[remote]' gcsfs",
    "az": "'raftline[remote]' adlfs",
    "abfs": "'raftline[remote]' adlfs",
    "sftp": "'raftline[remote]' paramiko",
    "ssh": "'raftline[remote]' paramiko",
}
"""Schemes, and what is installed for them."""
WITH_FOLDERS = ("sftp", "ssh")
"""Schemes of file systems: what is written there is seen while it grows, and its folder must be there."""


def is_remote(text: str) -> bool:
    """Whether this is a URL of a store, such as ``s3://bucket/folder``."""
    return scheme_of(text) in PACKAGES


def joined(url: str, name: str) -> str:
    """The URL of a name below another URL; an empty name is the URL itself."""
    return f"{url.rstrip('/')}/{name}" if name else url


def name_below(url: str, top: str) -> str | None:
    """What `joined` made `url` of with `top`; None if it does not lie below it."""
    top = top.rstrip("/") + "/"
    return url[len(top) :] if url.startswith(top) else None


def stem(url: str) -> str:
    """Name of its file, without suffix: letters such as ``%`` and ``#`` mean themselves in a store."""
    return posixpath.splitext(posixpath.basename(url.rstrip("/")))[0]
