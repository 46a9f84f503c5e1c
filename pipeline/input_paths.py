"""From what the user gave as input to what is opened, for every reader of the input."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

STANDARD_INPUT = "-"
"""The input that is piped into the program. A file of this name is ``./-``."""
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


def scheme_of(input: str) -> str | None:
    """``rtsp`` of ``rtsp://camera/1``, in lower case; None for a path."""
    found = _SCHEME.match(input)
    return found[1].lower() if found else None


def local_path(input: str) -> Path | None:
    """The file, folder or device of this machine that an input names; None for a URL of another kind, and for ``-``.

    Understands ``file://`` URLs (RFC 8089: percent-encoded, with or without ``localhost``) and ``~``. A path that is
    there as it was given is taken as it is, whatever it looks like.
    """
    if input == STANDARD_INPUT:
        return None
    if os.path.exists(input):
        return Path(input)
    scheme = scheme_of(input)
    if scheme is None:
        return Path(os.path.expanduser(input))
    if scheme != "file":
        return None
    rest = re.sub(r"^localhost(?=/)", "", input[len("file://") :])
    return Path(os.path.expanduser(rest if os.path.exists(rest) else unquote(rest)))


def plain(input: str) -> str:
    """The input as a plain path if it is a ``file://`` URL or begins with ``~``; else as it is."""
    path = local_path(input)
    return str(path) if path is not None and (input[:1] == "~" or scheme_of(input) is not None) else input
