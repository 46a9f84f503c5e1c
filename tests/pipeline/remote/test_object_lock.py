from __future__ import annotations

import json

import pytest

from pipeline.errors import OutputInWork
from pipeline.remote import object_lock
from pipeline.remote.object_lock import ObjectLock
from pipeline.remote.store import Store


def take(store: Store, machine: str = "here", words: str = "me") -> ObjectLock:
    return ObjectLock.take(store.url, "sub/a.json", machine, words)


def test_a_lock_that_is_renewed_is_not_taken_and_says_whose_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lock, "RENEW_SECONDS", 0.01)
    monkeypatch.setattr(object_lock, "_LOOK_SECONDS", 0.01)
    lock = take(store, words="process 1 on host one")
    with pytest.raises(OutputInWork, match=r"sub/a.json: another run works on it \(process 1 on host one\); wait"):
        take(store, machine="elsewhere")
    lock.check()
    lock.release()
    assert not store.list()


def test_a_lock_that_stands_still_is_taken_and_its_holder_learns_of_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lock, "DEAD_SECONDS", 0.0)
    paused = take(store)
    taken = take(store, machine="elsewhere")
    held = json.loads(store.read(["sub/.a.json.lock"])["sub/.a.json.lock"])
    assert held["machine"] == "elsewhere"
    paused.release()
    assert store.exists("sub/.a.json.lock")  # not its own any more
    taken.release()
    assert not store.list()


def test_what_a_killed_run_of_this_machine_left_is_taken_at_once(store: Store) -> None:
    store.create("sub/.a.json.lock", json.dumps({"machine": "here", "words": "dead", "token": "x"}).encode())
    take(store).release()
    assert not store.list()


def test_a_holder_that_stood_still_writes_no_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = take(store)
    store.write("sub/.a.json.lock", b"{}")
    monkeypatch.setattr(object_lock, "RENEW_SECONDS", 0.0)
    lock._renew()
    with pytest.raises(OutputInWork, match="another run has taken it meanwhile"):
        lock.check()
    lock.release()
