"""Every kind of store keeps the same promises."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import ConfigError, InputError, OutputError
from pipeline.remote.store import Store
from pipeline.remote.urls import joined
from tests.s3_server import S3Server


def test_what_was_put_is_found_by_its_name_and_read(store: Store, file: Path, tmp_path: Path) -> None:
    store.put(file, "deep/er/a b#%20.mp4")
    (found,) = store.list()
    assert (found.name, found.size) == ("deep/er/a b#%20.mp4", 5)
    assert [each.name for each in store.matches("deep/*/*.mp4")] == [found.name]
    assert store.exists(found.name) and store.exists("deep") and not store.exists("deep/other")
    assert store.read([found.name, "gone"]) == {found.name: b"video"}
    (itself,) = Store(joined(store.url, found.name)).list()
    assert (itself.name, itself.version) == ("", found.version)
    Store(joined(store.url, found.name)).fetch("", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"video"


def test_what_is_put_anew_has_another_version(store: Store, file: Path) -> None:
    store.put(file, "a.mp4")
    before = store.list()
    file.write_bytes(b"longer video")
    store.put(file, "a.mp4")
    assert store.list() != before and store.read(["a.mp4"]) == {"a.mp4": b"longer video"}


def test_only_one_creates_a_file(store: Store) -> None:
    store.create("folder/lock", b"mine")
    with pytest.raises(FileExistsError):
        store.create("folder/lock", b"yours")
    assert store.read(["folder/lock"]) == {"folder/lock": b"mine"}
    for _ in range(2):
        store.remove("folder/lock")
    assert not store.list()


def test_a_place_that_can_be_written_is_left_as_it_was(store: Store) -> None:
    store.check_writable()
    assert not store.list()


def test_s3_gives_addresses_and_sftp_none(s3: S3Server, sftp: str) -> None:
    address = Store("s3://bucket/in").signed("a.mp4", 60)
    assert address is not None and address.startswith(f"{s3.url}/bucket/in/a.mp4?") and "X-Amz-Signature=" in address
    assert Store(sftp).signed("a.mp4", 60) is None


def test_errors_say_what_is_wrong_and_what_to_do(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"^s3://other/in: no such file, folder or bucket .*; check the URL$"):
        Store("s3://other/in").list()
    with pytest.raises(OutputError, match=r"^s3://other/in: no such bucket .* or create the bucket$"):
        Store("s3://other/in").check_writable()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("s3fs.S3FileSystem.cachable", False)
    with pytest.raises(InputError, match=r"no credentials that the store takes .* set AWS_ACCESS_KEY_ID"):
        Store("s3://bucket/in").list()


@pytest.mark.parametrize(("scheme", "package"), [("gs", "gcsfs"), ("gcs", "gcsfs"), ("az", "adlfs"), ("abfs", "adlfs")])
def test_a_package_that_is_missing_is_named(scheme: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    store = Store(f"{scheme}://box/in")
    why = f"{scheme}://box/in: {scheme}:// needs a package that is not there: pip install 'raftline[remote]' {package}"
    for opened in (store.list, store.check_writable):
        with pytest.raises(ConfigError) as raised:
            opened()
        assert str(raised.value) == why


def test_sftp_trusts_known_servers_alone_and_hides_the_password(
    sftp: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SFTP_PASSWORD", "wrong")
    with pytest.raises(InputError, match=r"^sftp://me:\*\*\*@127.0.0.1:\d+/in: no credentials that the store takes"):
        Store(f"{sftp}/in", alone=True).list()
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InputError, match=r"the server's key is not the one in ~/\.ssh/known_hosts"):
        Store(f"{sftp}/in", alone=True).list()
    monkeypatch.delenv("SFTP_PASSWORD")
    with pytest.raises(ConfigError, match="SFTP_PASSWORD is not set"):
        Store(f"{sftp}/in", alone=True).list()
