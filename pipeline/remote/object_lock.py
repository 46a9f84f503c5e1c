"""A lock in a store for as long as a run works on an output: runs of several machines never write one.

The lock is an object beside the output, ``.NAME.lock``, that is created only if it is not there. Its holder writes it
anew every few seconds. One that does not change for longer than that is of a run that is dead, and is taken: what
counts is time as the one who waits sees it, so that the clocks of the machines need not agree.
"""

from __future__ import annotations

import json
import logging
import posixpath
import threading
import time
import uuid
from collections.abc import Callable

from pipeline.errors import OutputError, OutputInWork
from pipeline.remote.errors import told
from pipeline.remote.store import Store
from pipeline.remote.urls import joined

RENEW_SECONDS = 10.0
DEAD_SECONDS = 45.0
"""Without a change. Chosen by hand: three renewals may fail."""
_LOOK_SECONDS = 1.0

log = logging.getLogger(__name__)


class ObjectLock:
    """A lock that is held. Use `take`."""

    def __init__(self, store: Store, name: str, content: Callable[[], bytes], has_locks: bool) -> None:
        self._store = store
        self._name = name
        self._content = content
        self._ended = threading.Event()
        self._lost = False
        self._renewal = threading.Thread(target=self._renew, daemon=True)
        if has_locks:
            self._renewal.start()

    @classmethod
    def take(cls, url: str, output: str, machine: str, words: str) -> ObjectLock:
        """Lock an output.

        Args:
            url: Of the store.
            output: Name of the output in it.
            machine: The same for all that cannot hold the lock at one time, because they have another one.
            words: Who takes it, for the messages of others.

        Raises:
            OutputInWork: If another run holds the lock.
            OutputError: If the lock cannot be written.
        """
        store = Store(url, alone=True)
        folder, base = posixpath.split(output)
        name = posixpath.join(folder, f".{base}.lock")
        token = uuid.uuid4().hex

        def content() -> bytes:
            about = {"machine": machine, "words": words, "token": token, "renewed": time.time()}
            return json.dumps(about).encode()

        with told(joined(url, output), OutputError):
            while not (has_locks := _created(store, name, content())):
                if has_locks is None:
                    break
                _wait_until_dead(store, name, machine, joined(store.display, output))
                store.remove(name)
        return cls(store, name, content, bool(has_locks))

    def check(self) -> None:
        """Raise `OutputInWork` if another run has taken the lock, since this one stood still."""
        if self._lost:
            raise OutputInWork(f"{joined(self._store.display, self._name)}: another run has taken it meanwhile")

    def release(self) -> None:
        """Give the lock back."""
        self._ended.set()
        if self._renewal.ident is None:
            return
        self._renewal.join()
        try:
            if self._is_ours():
                self._store.remove(self._name)
        except Exception as error:  # it is taken once it is dead
            log.warning("%s: the lock was not removed (%s)", joined(self._store.display, self._name), error)

    def _renew(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            try:
                if not self._is_ours():
                    self._lost = True
                    return
                self._store.write(self._name, self._content())
            except Exception as error:  # the next may succeed
                log.warning("%s: the lock was not renewed (%s)", joined(self._store.display, self._name), error)

    def _is_ours(self) -> bool:
        now = self._store.read([self._name]).get(self._name)
        return now is not None and _about(now).get("token") == _about(self._content())["token"]


def _created(store: Store, name: str, content: bytes) -> bool | None:
    """Whether the lock is ours now; None if the store cannot create what is not there yet."""
    try:
        store.create(name, content)
    except FileExistsError:
        return False
    except NotImplementedError:
        log.warning("%s: this store has no locks: take care that no other run writes there", store.display)
        return None
    return True


def _wait_until_dead(store: Store, name: str, machine: str, output: str) -> None:
    """Return when the holder is dead. Raises `OutputInWork` when it is seen to live."""
    first, deadline = store.read([name]).get(name), time.monotonic() + DEAD_SECONDS
    while first is not None and _about(first).get("machine") != machine and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        now = store.read([name]).get(name)
        if now is None:
            return
        if now != first:
            words = _about(now).get("words", "which does not say who it is")
            raise OutputInWork(
                f"{output}: another run works on it ({words}); wait for its end, or choose another place with -o"
            )


def _about(content: bytes) -> dict[str, str]:
    try:
        about = json.loads(content)
    except ValueError:
        return {}
    return about if isinstance(about, dict) else {}
