"""Users, their hashes, and where the page may listen."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from raftline.web.access.address import Address
from raftline.web.access.sessions import Attempts, Sessions
from raftline.web.access.users import User, Users, added_user
from raftline.web.serving import TOKEN, Serving


def test_a_user_is_added_and_found_again_by_the_password(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    added_user(file, "ann", "secret", "change", None)
    file.write_text("# who may come in\n" + file.read_text())
    added_user(file, "bob", "other", "look", ["gate"])
    assert file.read_text().startswith("# who may come in\n") and "secret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    users = Users.read(file, None)
    assert users is not None
    assert users.by_password("ann", "secret") == User("ann", "change")
    assert users.by_password("bob", "other") == User("bob", "look", frozenset({"gate"}))
    assert users.by_password("bob", "secret") is users.by_password("eve", "") is None


def test_a_users_file_with_a_mistake_is_refused_without_repeating_a_password(tmp_path: Path) -> None:
    file = tmp_path / "users.yaml"
    file.write_text("users: {ann: {password: hunter2, may: look}}")
    with pytest.raises(ConfigError, match=r"users\.ann\.password") as refused:
        Users.read(file, None)
    assert "hunter2" not in str(refused.value) and "--add-user" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "host", "loopback"),
    [
        ("127.0.0.1:8642", "127.0.0.1", True),
        ("8642", "127.0.0.1", True),
        ("localhost:1", "localhost", True),
        ("[::1]:8642", "::1", True),
        ("0.0.0.0:8642", "0.0.0.0", False),
        ("[::]:8642", "::", False),
        ("192.168.1.5:8642", "192.168.1.5", False),
        ("cameras.lan:8642", "cameras.lan", False),
    ],
)
def test_an_address_is_loopback_or_not(text: str, host: str, loopback: bool) -> None:
    address = Address.parse(text)
    assert (address.host, address.loopback) == (host, loopback)


@pytest.mark.parametrize("text", ["", "host", "host:", "host:99999", "::1:80", "a b:80", "http://host:80"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="HOST:PORT"):
        Address.parse(text)


def test_an_address_others_reach_needs_users_and_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(ConfigError, match=f"needs a token or users: set {TOKEN}"):
        Serving.checked("192.168.1.5:8642", None, ())
    monkeypatch.setenv(TOKEN, "short")
    with pytest.raises(ConfigError, match="16 or more"):
        Serving.checked("192.168.1.5:8642", None, ())
    monkeypatch.setenv(TOKEN, "long enough to be a token")
    serving = Serving.checked("192.168.1.5:8642", None, ())
    assert serving.address.names((), 8642) == {"192.168.1.5:8642"}
    with pytest.raises(ConfigError, match="--allow-host"):
        Serving.checked("0.0.0.0:8642", None, ())
    assert Address.parse("0.0.0.0:8642").names(("Cameras.lan:8642",), 8642) == {"cameras.lan:8642"}


def test_loopback_answers_under_its_three_names() -> None:
    expected = {"localhost:80", "127.0.0.1:80", "[::1]:80"}
    assert Address.parse("127.0.0.1:80").names((), 80) == expected


def test_a_port_that_is_taken_is_said() -> None:
    with Address.parse("127.0.0.1:0").bound() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=r"cannot listen on .*choose another"):
            Address.parse(f"127.0.0.1:{port}").bound()


def test_a_session_ends_when_it_was_not_used_for_long() -> None:
    now = [0.0]
    sessions = Sessions(lambda: now[0])
    cookie = sessions.begin(User("ann"))
    now[0] = 6 * 86400
    assert sessions.user(cookie) == User("ann")
    now[0] = 12 * 86400
    assert sessions.user(cookie) == User("ann")
    now[0] = 20 * 86400
    assert sessions.user(cookie) is None and sessions.user("made up") is None


def test_tries_are_counted_for_each_address_and_forgotten_after_a_minute() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(5):
        attempts.failed("a")
    assert attempts.wait_seconds("a") == 60.0 and attempts.wait_seconds("b") == 0.0
    now[0] = 60.0
    assert attempts.wait_seconds("a") == 0.0
