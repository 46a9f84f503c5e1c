"""Which files of a store a batch takes, by the rules for folders of this machine."""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Callable

from pipeline.remote.store import RemoteFile, Store
from pipeline.remote.urls import joined
from raftline.cli.batch.files import parsed_summary
from raftline.cli.batch.own_outputs import OwnOutputs
from raftline.cli.batch.rules import OWN, UNFINISHED, Found, FoundFile, is_unfinished, mirrored, why_not_by_name


class RemoteWalk:
    """Finds files in stores.

    Args:
        found: Gets what was left out.
        take: Gets each file.
        refuses: Why a file that is found in a folder is not read, or None.
        own: What raftline wrote.
        include_hidden: Take hidden files and look into hidden folders.
    """

    def __init__(
        self,
        found: Found,
        take: Callable[[FoundFile], None],
        refuses: Callable[[str], str | None],
        own: OwnOutputs,
        include_hidden: bool,
    ) -> None:
        self._found = found
        self._take = take
        self._refuses = refuses
        self._own = own
        self._include_hidden = include_hidden

    def find(self, given: str) -> bool:
        """A file, folder or pattern -> whether there is anything. Raises `InputError`."""
        store = Store(given)
        files = store.list()
        if files:
            return self._take_file(store, files[0]) if not files[0].name else self._take_folder(store, files)
        if not glob.has_magic(given):
            return False
        top, pattern = _split(store.url)
        return self._take_matches(Store(top), pattern)

    def _take_file(self, store: Store, file: RemoteFile, folder: str = "") -> bool:
        url = joined(store.url, file.name)
        if self._own.wrote(url, only_here=True):
            self._found.leave_out(OWN, url)
        else:
            self._take(FoundFile(url, folder, file.version))
        return True

    def _take_matches(self, store: Store, pattern: str) -> bool:
        files = store.matches(pattern)
        names = {file.name for file in files}
        for file in files:
            if is_unfinished(file.name, names.__contains__):
                self._found.leave_out(UNFINISHED, joined(store.url, file.name))
            else:
                self._take_file(store, file, mirrored(posixpath.dirname(file.name), ""))
        return bool(files)

    def _take_folder(self, store: Store, files: list[RemoteFile]) -> bool:
        self._learn(store, files)
        names, folders, known = {file.name for file in files}, set[str](), False
        for file in files:
            *above, name = file.name.split("/")
            if self._is_in_left_out(above, folders):
                continue
            why = why_not_by_name(name, self._include_hidden)
            if why is None and is_unfinished(file.name, names.__contains__):
                why = UNFINISHED
            if why is None:
                url = joined(store.url, file.name)
                why = OWN if self._own.wrote(url) else self._refuses(url)
            known = known or why in (None, OWN)
            if why is None:
                self._take(FoundFile(joined(store.url, file.name), mirrored("/".join(above), ""), file.version))
            else:
                self._found.leave_out(why, name)
        return known

    def _is_in_left_out(self, above: list[str], seen: set[str]) -> bool:
        """Whether one of the folders above a file is left out, with all that is in it; each is counted once."""
        for depth, name in enumerate(above, 1):
            why = why_not_by_name(name, self._include_hidden)
            if why is not None:
                folder = "/".join(above[:depth])
                if folder not in seen:
                    seen.add(folder)
                    self._found.leave_out(why, name)
                return True
        return False

    def _learn(self, store: Store, files: list[RemoteFile]) -> None:
        """Learn from the summaries that lie there what raftline wrote."""
        names = [file.name for file in files if file.name.endswith("summary.json")]
        for name, content in store.read(names).items():
            url = joined(store.url, name)
            self._own.learn(posixpath.dirname(url), url, parsed_summary(content))


def _split(pattern: str) -> tuple[str, str]:
    """The URL in which a pattern begins to be one, and the rest."""
    top, rest = pattern, list[str]()
    while glob.has_magic(top):
        top, _, name = top.rpartition("/")
        rest.insert(0, name)
    return top, "/".join(rest)
