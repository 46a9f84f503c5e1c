"""Outputs of a batch in a store: written in a folder of this machine, and delivered when they are complete."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from threading import Event
from typing import TYPE_CHECKING, Any

from pipeline.errors import OutputError, RaftlineError
from pipeline.remote.object_lock import ObjectLock
from pipeline.remote.retries import persistently
from pipeline.remote.scratch import folder_of, make_folder
from pipeline.remote.store import Store
from pipeline.remote.urls import joined, name_below
from raftline.cli.batch.files import EARLIER_OUTPUTS, SUMMARY_SUFFIX, BatchFile, outputs_in, read_summary
from raftline.cli.batch.local_place import LocalPlace
from raftline.cli.batch.place import SUMMARY, Held

if TYPE_CHECKING:
    from pipeline.runtime.output_lock import Run


class RemotePlace:
    """A folder of a store. See `raftline.cli.batch.place.Place`.

    Its folder in scratch has ``notes``, copies of the summaries that lie in the store, and ``work``, where pipelines
    write. A file's summary goes into the store last: where it is, the outputs are.

    Args:
        url: Of the folder.
        scratch: Folder of this machine.
    """

    def __init__(self, url: str, scratch: Path) -> None:
        self._store = Store(url)
        self.shown = self._store.display
        folder = folder_of(self._store.url, scratch)
        self.notes, self.work = folder / "notes", folder / "work"
        self._local = LocalPlace(str(self.work))
        self._machine = _name_of_machine(folder)
        self._versions: dict[str, str] = {}
        self._names: set[str] | None = None

    def check_writable(self) -> None:
        """See `Place`."""
        for folder in (self.notes, self.work):
            make_folder(folder)
        self._store.check_writable()

    def refresh(self) -> None:
        """See `Place`."""
        found = self._store.list()
        notes = {file.name: file.version for file in found if _is_note(file.name)}
        changed = [name for name, version in notes.items() if self._versions.get(name) != version]
        for name, content in self._store.read(changed).items():
            _write(self.notes / name, content)
        for path in [*self.notes.rglob(f"*{SUMMARY_SUFFIX}")]:
            if path.relative_to(self.notes).as_posix() not in notes:
                path.unlink(missing_ok=True)
        self._versions = notes
        self._names = {name for file in found for name in (file.name, *map(str, PurePosixPath(file.name).parents))}

    def refresh_note(self, file: BatchFile) -> None:
        """See `Place`."""
        name = _note_of(file)
        content = self._store.read([name]).get(name)
        if content is None:
            (self.notes / name).unlink(missing_ok=True)
        else:
            _write(self.notes / name, content)

    def has(self, output: str) -> bool:
        """See `Place`."""
        name = name_below(output, self.shown)
        if name is None:
            return os.path.exists(output)
        return self._store.exists(name) if self._names is None else name in self._names

    @contextmanager
    def alone(self, name: str, run: Run | None = None) -> Iterator[Held]:
        """See `Place`."""
        with self._local.alone(name, run):
            from pipeline.runtime.output_lock import this_process

            lock = ObjectLock.take(self._store.url, name, self._machine, this_process())
            try:
                yield lock
            finally:
                lock.release()

    def deliver(self, file: BatchFile, held: Held, given_up: Event, about: dict[str, str]) -> list[str]:
        """See `Place`."""
        folder = self.work / file.folder
        summary = read_summary(folder / file.summary_name)
        source = summary["sources"][file.name]
        source.update(about)
        placed: dict[str, str] = {}
        try:
            for output in source["outputs"]:
                placed[output] = self._put(Path(output), given_up)
            held.check()
            earlier = outputs_in(file.summary(self.notes)) - {*placed.values()}
            source["outputs"] = sorted(placed.values())
            summary[EARLIER_OUTPUTS] = sorted(filter(self.has, earlier))
            self._put_summary(_note_of(file), summary, given_up)
        except RaftlineError as error:
            kept = f"what was to go there is kept in {folder}: run again to try that alone"
            raise type(error)(f"{error}; {kept}") from error
        for output, url in placed.items():
            if output != url:
                _remove(Path(output))
        (folder / file.summary_name).unlink(missing_ok=True)
        return source["outputs"]

    def deliver_summary(self) -> None:
        """See `Place`."""
        self._upload(self.notes / SUMMARY, SUMMARY)

    def _put(self, output: Path, given_up: Event) -> str:
        """Deliver a file or a folder; its URL. What lies elsewhere stays there."""
        if not output.is_relative_to(self.work):
            return str(output)
        files = [path for path in output.rglob("*") if path.is_file()] if output.is_dir() else [output]
        for path in files:
            self._upload(path, path.relative_to(self.work).as_posix(), given_up)
        return joined(self.shown, output.relative_to(self.work).as_posix())

    def _put_summary(self, name: str, summary: dict[str, Any], given_up: Event) -> None:
        from pipeline.runtime.summary import write_summary

        write_summary(self.notes / name, summary)
        self._upload(self.notes / name, name, given_up)

    def _upload(self, path: Path, name: str, given_up: Event | None = None) -> None:
        persistently(lambda: self._store.put(path, name), joined(self._store.url, name), OutputError, given_up)


def _note_of(file: BatchFile) -> str:
    return PurePosixPath(file.folder, file.summary_name).as_posix()


def _is_note(name: str) -> bool:
    """Whether a name in the store is that of a file's summary, and leads to no folder but those below it."""
    return name.endswith(SUMMARY_SUFFIX) and not {"", ".", ".."} & {*name.split("/")}


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: other lanes of this machine read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)


def _remove(output: Path) -> None:
    if output.is_dir():
        shutil.rmtree(output, ignore_errors=True)
    else:
        output.unlink(missing_ok=True)


def _name_of_machine(folder: Path) -> str:
    """The same for all programs that work in this folder, and for no other."""
    file = folder / "machine"
    if not file.exists():
        name = folder / f"machine.{uuid.uuid4().hex}"
        name.write_text(uuid.uuid4().hex)
        try:
            os.link(name, file)
        except FileExistsError:
            pass
        name.unlink()
    return file.read_text()
