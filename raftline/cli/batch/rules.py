"""What a batch leaves out of folders by its name, on this machine and in stores, and what it found."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

_UNFINISHED = re.compile(
    r"\.(part(-frag\d+)?|partial|filepart|crdownload|download|opdownload|tmp|temp|aria2|ytdl|!ut|!qb|bc!)$|\.part\.\w+$",
    re.IGNORECASE,
)
"""Ends of names that browsers, download programs and raftline give to what is not complete yet."""
_BESIDE_UNFINISHED = (".part", ".aria2", ".ytdl")
"""Added to the name of a file, the name of another that lies beside it for as long as it is not complete."""
_MOST_SUFFIXES = 5

HIDDEN, UNFINISHED, OWN = "hidden", "not complete yet", "written by raftline"
AGAIN, UNREADABLE, NO_TEXT = "there twice", "in folders that cannot be read", "with a name that is not UTF-8"


@dataclass(frozen=True)
class FoundFile:
    """A file to work on."""

    path: str
    """As given or found; may be a URL."""
    folder: str = ""
    """Where it lies below what was given; its outputs go there below the output directory."""
    version: str = ""
    """Of a file of a store: changes when the file does."""


@dataclass
class Found:
    """What was found, and what was left out."""

    files: list[FoundFile] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names by reason."""

    def leave_out(self, why: str, name: str) -> None:
        """Note that a file, or a folder with all that is in it, was left out."""
        self.left_out.setdefault(why, []).append(name)

    def reasons(self) -> str:
        """``3 hidden, 2 no video (.srt, .txt)``"""
        return ", ".join(f"{len(names)} {why}{_suffixes(why, names)}" for why, names in self.left_out.items())


def why_not_by_name(name: str, include_hidden: bool) -> str | None:
    """Why a file or folder of this name is left out, or None."""
    if any("\ud800" <= each <= "\udfff" for each in name):  # how Python shows bytes that it cannot decode
        return NO_TEXT
    if name.startswith(".") and not include_hidden:
        return HIDDEN
    return UNFINISHED if _UNFINISHED.search(name) else None


def is_unfinished(path: str, exists: Callable[[str], bool]) -> bool:
    """Whether a file is not complete yet, by its name and by what lies beside it."""
    return bool(_UNFINISHED.search(path)) or any(exists(path + suffix) for suffix in _BESIDE_UNFINISHED)


def mirrored(folder: str, top: str) -> str:
    """The way from `top` to `folder`, of names that every file system can have."""
    from pipeline.config.names import file_name

    way = os.path.relpath(folder or ".", top or ".")
    return "" if way == "." else os.path.join(*map(file_name, Path(way).parts))


def _suffixes(why: str, names: list[str]) -> str:
    if why in (HIDDEN, UNFINISHED, OWN, AGAIN, UNREADABLE, NO_TEXT):
        return ""
    counted = Counter(Path(name).suffix.lower() or name for name in names).most_common()
    more = ", ..." if len(counted) > _MOST_SUFFIXES else ""
    return f" ({', '.join(suffix for suffix, _ in counted[:_MOST_SUFFIXES])}{more})"
