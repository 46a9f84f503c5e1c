from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline.errors import InputError
from pipeline.remote import retries
from pipeline.remote.inputs import FETCHED, IN_PLACE, readable
from pipeline.remote.store import Store
from pipeline.remote.urls import joined


def test_a_file_is_read_in_place_where_that_can_be_and_else_copied_for_as_long_as_it_is_read(
    store: Store, file: Path, tmp_path: Path
) -> None:
    store.put(file, "a.mp4")
    url = joined(store.url, "a.mp4")
    with readable(url, tmp_path, lambda address: True) as (input, how):
        assert how == (IN_PLACE if store.scheme == "s3" else FETCHED)
    with readable(url, tmp_path, lambda address: False) as (input, how):
        assert how == FETCHED and Path(input).name == "a.mp4" and Path(input).read_bytes() == b"video"
    assert not list((tmp_path / "fetched").iterdir())


def test_what_a_killed_program_copied_is_removed_and_what_another_reads_is_not(
    store: Store, file: Path, tmp_path: Path
) -> None:
    store.put(file, "a.mp4")
    (tmp_path / "fetched" / "left").mkdir(parents=True)
    with readable(joined(store.url, "a.mp4"), tmp_path, lambda address: False) as first:
        with readable(joined(store.url, "a.mp4"), tmp_path, lambda address: False):
            assert Path(first.input).exists()
            assert len(list((tmp_path / "fetched").iterdir())) == 2


def test_without_room_nothing_is_copied(
    store: Store, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(file, "a.mp4")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**8))
    with pytest.raises(
        InputError, match=r"a.mp4: .* lacks the room: needed are 0.27 GB, free are 0.10 GB; .*--scratch"
    ):
        with readable(joined(store.url, "a.mp4"), tmp_path, lambda address: False):
            pass


def test_a_file_that_is_gone_is_said(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.mp4: no such file"):
        with readable(joined(store.url, "gone.mp4"), tmp_path, lambda address: False):
            pass


def test_what_a_network_does_is_tried_again_and_what_lasts_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "PAUSES_SECONDS", (0.0, 0.0))
    tries: list[BaseException] = []

    def act(*errors: BaseException) -> None:
        for error in errors[len(tries) :]:
            tries.append(error)
            raise error

    retries.persistently(lambda: act(OSError("cut"), TimeoutError()), "s3://b", InputError)
    assert len(tries) == 2
    tries.clear()
    with pytest.raises(InputError, match="access is denied"):
        retries.persistently(lambda: act(PermissionError("403"), OSError()), "s3://b", InputError)
    assert len(tries) == 1
    tries.clear()
    with pytest.raises(InputError, match=r"s3://b: the store cannot be read \(OSError: cut\)"):
        retries.persistently(lambda: act(*[OSError("cut")] * 9), "s3://b", InputError)
    assert len(tries) == 3
