"""A file of a store as a stage can read it: in place by its address, or copied to this machine."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import InputError
from pipeline.redaction import redact
from pipeline.remote.retries import persistently
from pipeline.remote.scratch import room_for
from pipeline.remote.store import Store

_VALID_SECONDS = 24 * 3600
"""Of an address. Chosen by hand: longer than a file takes; stores allow 7 days at the most."""
IN_PLACE, FETCHED = "in place", "copied to this machine"


class Readable(NamedTuple):
    """What a Source is given."""

    input: str
    """Path, or an address that is a secret."""
    how: str
    """`IN_PLACE` or `FETCHED`."""


@contextmanager
def readable(url: str, scratch: Path, takes: Callable[[str], bool]) -> Iterator[Readable]:
    """A file of a store for as long as it is read.

    Args:
        url: Of the file.
        scratch: Folder for a copy, which is made where the file cannot be read in place.
        takes: Whether the Source reads a file over HTTP, by its address.

    Raises:
        InputError: If it is not there or cannot be read, or there is no room for a copy.
    """
    store = Store(url)
    address = store.signed("", _VALID_SECONDS)
    if address is not None and takes(address):
        yield Readable(address, IN_PLACE)
        return
    with _fetched(store, scratch) as path:
        yield Readable(str(path), FETCHED)


@contextmanager
def _fetched(store: Store, scratch: Path) -> Iterator[Path]:
    display = redact(store.url)
    about = next(iter(store.list()), None)
    if about is None or about.name:
        raise InputError(f"{display}: no such file; check the URL")
    with room_for(about.size, display, scratch) as folder:
        path = folder / (posixpath.basename(store.url) or "file")
        persistently(lambda: store.fetch("", path), store.url, InputError)
        came = path.stat().st_size
        if came != about.size:
            raise InputError(f"{display}: {came} of {about.size} bytes came; it may have changed meanwhile: run again")
        yield path
