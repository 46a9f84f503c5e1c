"""Which files a batch takes: what it was given, what is found in folders, and what of that is left out and why."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import InputError
from pipeline.input_paths import plain
from pipeline.redaction import redact
from pipeline.remote.urls import is_remote
from raftline.cli.batch.own_outputs import OwnOutputs
from raftline.cli.batch.remote_walk import RemoteWalk
from raftline.cli.batch.rules import (
    AGAIN,
    OWN,
    UNFINISHED,
    UNREADABLE,
    Found,
    FoundFile,
    is_unfinished,
    mirrored,
    why_not_by_name,
)


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
        self._remote = RemoteWalk(self._found, self._take, refuses, own, include_hidden)

    def find(self, inputs: list[str]) -> Found:
        """Files, folders and patterns -> files, each once, in order. Raises `InputError` for one that gives nothing."""
        for given in map(plain, inputs):
            if is_remote(given):
                known = self._remote.find(given)
            elif "://" in given or os.path.isfile(given):
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
            self._take(FoundFile(given, folder))
        return True

    def _take_matches(self, pattern: str) -> bool:
        base = _fixed_part(pattern)
        files = [path for path in sorted(glob.glob(pattern, recursive=True)) if os.path.isfile(path)]
        for path in files:
            if is_unfinished(path, os.path.exists):
                self._found.leave_out(UNFINISHED, path)
            else:
                self._take_given(path, mirrored(os.path.dirname(path), base))
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
            self._take(FoundFile(path, mirrored(os.path.dirname(path), top)))
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
                elif (why := why_not_by_name(entry.name, self._include_hidden)) is not None:
                    self._found.leave_out(why, entry.name)
                else:
                    (links if entry.is_symlink() else waiting).append(entry.path)
            yield folder, names

    def _why_not(self, path: str, name: str) -> str | None:
        if (why := why_not_by_name(name, self._include_hidden)) is not None:
            return why
        if is_unfinished(path, os.path.exists):
            return UNFINISHED
        return OWN if self._own.wrote(path) else self._refuses(path)

    def _take(self, file: FoundFile) -> None:
        path = file.path
        real = path if "://" in path else os.path.realpath(path)
        if real not in self._seen:
            self._seen[real] = path
            self._found.files.append(file)
        elif os.path.normpath(self._seen[real]) != os.path.normpath(path):
            self._found.leave_out(AGAIN, path)

    def _nothing(self, given: str) -> str:
        if os.path.isdir(given) or (is_remote(given) and self._found.left_out):
            reasons = self._found.reasons()
            return f"{redact(given)}: no videos in this folder" + (f"; left out: {reasons}" if reasons else "")
        return f"{redact(given)}: no such file, no folder, and no pattern that matches any"


def _fixed_part(pattern: str) -> str:
    """The folder in which a pattern begins to be one."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return os.path.join(*fixed) if fixed else ""
