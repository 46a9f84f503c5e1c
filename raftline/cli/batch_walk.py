"""Which files a batch takes: what it was given, what is found in folders, and what of that is left out and why."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InputError
from pipeline.input_paths import plain
from pipeline.redaction import redact
from raftline.cli.own_outputs import OwnOutputs

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


class Finder:
    """Finds the files of a batch.

    Args:
        refuses: Why a file that is found in a folder is not read, or None (`pipeline.stage.Source.left_out`).
        own: What raftline wrote.
        include_hidden: Take hidden files and look into hidden folders.
    """

    def __init__(self, refuses: Callable[[str], str | None], own: OwnOutputs, include_hidden: bool = False) -> None:
        self._refuses = refuses
        self._own = own
        self._include_hidden = include_hidden
        self._found = Found()
        self._seen: dict[str, str] = {}

    def find(self, inputs: list[str]) -> Found:
        """Files, folders and patterns -> files, each once, in order. Raises `InputError` for one that gives nothing."""
        for given in map(plain, inputs):
            if "://" in given or os.path.isfile(given):
                known = self._take_given(given)
            elif os.path.isdir(given):
                known = self._take_folder(given)
            else:
                known = self._take_matches(given)
            if not known:
                raise InputError(self._nothing(given))
        if not self._found.files:
            raise InputError(f"{', '.join(map(redact, inputs))}: nothing to do; left out: {self._found.reasons()}")
        return self._found

    def _take_given(self, given: str, folder: str = "") -> bool:
        if "://" not in given and self._own.wrote(given, only_here=True):
            self._found.leave_out(OWN, given)
        else:
            self._take(given, folder)
        return True

    def _take_matches(self, pattern: str) -> bool:
        base = _fixed_part(pattern)
        files = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
        for path in files:
            if _is_unfinished(path):
                self._found.leave_out(UNFINISHED, path)
            else:
                self._take_given(path, _mirrored(os.path.dirname(path), base))
        return bool(files)

    def _take_folder(self, top: str) -> bool:
        paths, known = [], False
        for folder, names in self._folders(top):
            self._own.look_into(folder)
            for name in names:
                path = os.path.join(folder, name)
                why = self._why_not(path, name)
                known = known or why in (None, OWN)
                if why is None:
                    paths.append(path)
                else:
                    self._found.leave_out(why, name)
        for path in sorted(paths):
            self._take(path, _mirrored(os.path.dirname(path), top))
        return known

    def _folders(self, top: str) -> Iterator[tuple[str, list[str]]]:
        """Every folder once, links to folders last, each with the names of its files."""
        waiting, links = [top], []
        visited: set[tuple[int, int]] = set()
        while waiting or links:
            folder = (waiting or links).pop(0)
            try:
                status = os.stat(folder)
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                self._found.leave_out(UNREADABLE, folder)
                continue
            if (status.st_dev, status.st_ino) in visited:
                continue
            visited.add((status.st_dev, status.st_ino))
            names = []
            for entry in entries:
                if not entry.is_dir():
                    names.append(entry.name)
                elif (why := self._why_not_by_name(entry.name)) is not None:
                    self._found.leave_out(why, entry.name)
                else:
                    (links if entry.is_symlink() else waiting).append(entry.path)
            yield folder, names

    def _why_not(self, path: str, name: str) -> str | None:
        if (why := self._why_not_by_name(name)) is not None:
            return why
        if _is_unfinished(path):
            return UNFINISHED
        return OWN if self._own.wrote(path) else self._refuses(path)

    def _why_not_by_name(self, name: str) -> str | None:
        if any("\ud800" <= each <= "\udfff" for each in name):  # how Python shows bytes that it cannot decode
            return NO_TEXT
        if name.startswith(".") and not self._include_hidden:
            return HIDDEN
        return UNFINISHED if _UNFINISHED.search(name) else None

    def _take(self, path: str, folder: str) -> None:
        real = path if "://" in path else os.path.realpath(path)
        if real not in self._seen:
            self._seen[real] = path
            self._found.files.append(FoundFile(path, folder))
        elif os.path.normpath(self._seen[real]) != os.path.normpath(path):
            self._found.leave_out(AGAIN, path)

    def _nothing(self, given: str) -> str:
        if os.path.isdir(given):
            reasons = self._found.reasons()
            return f"{redact(given)}: no videos in this folder" + (f"; left out: {reasons}" if reasons else "")
        return f"{redact(given)}: no such file, no folder, and no pattern that matches any"


def _is_unfinished(path: str) -> bool:
    return bool(_UNFINISHED.search(path)) or any(os.path.exists(path + suffix) for suffix in _BESIDE_UNFINISHED)


def _mirrored(folder: str, top: str) -> str:
    """The way from `top` to `folder`, of names that every file system can have."""
    from pipeline.config.names import file_name

    way = os.path.relpath(folder or ".", top or ".")
    return "" if way == "." else os.path.join(*map(file_name, Path(way).parts))


def _fixed_part(pattern: str) -> str:
    """The folder in which a pattern begins to be one."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return os.path.join(*fixed) if fixed else ""


def _suffixes(why: str, names: list[str]) -> str:
    if why in (HIDDEN, UNFINISHED, OWN, AGAIN, UNREADABLE, NO_TEXT):
        return ""
    counted = Counter(Path(name).suffix.lower() or name for name in names).most_common()
    more = ", ..." if len(counted) > _MOST_SUFFIXES else ""
    return f" ({', '.join(suffix for suffix, _ in counted[:_MOST_SUFFIXES])}{more})"
