"""What the user is told when Redis refuses, and what a run survives."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from pipeline.errors import TransportError, TransportLost, UserError
from pipeline.runtime.supervisor import Status, Supervisor
from pipeline.transport.redis_connection import connect
from pipeline.transport.redis_server import PrivateServer, find_program
from tests.free_port import free_port
from tests.pipeline.running import ledger, make_test_plan, nothing_left_behind

LEDGER = {"ledger": {"use": "Ledger", "reads": "decoder"}}


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=64)
    yield server
    server.stop()


def with_user(server: PrivateServer, user: str, password: str) -> str:
    return f"unix://{user}:{password}@{quote(server.url.removeprefix('unix://'))}"


def test_an_unreachable_server_is_named() -> None:
    with pytest.raises(TransportLost, match=r"redis://localhost:1/0 cannot be reached"):
        connect("redis://localhost:1/0")


def test_a_wrong_password_is_not_shown(server: PrivateServer) -> None:
    redis.Redis.from_url(server.url).execute_command("ACL", "SETUSER", "me", "on", ">right", "~*", "+@all")
    with pytest.raises(TransportError, match=r"refuses the user or password.*REDIS_PASSWORD") as caught:
        connect(with_user(server, "me", "wrong"))
    assert "wrong" not in str(caught.value)
    connect(with_user(server, "me", "right")).close()


def test_a_user_without_rights_is_told_where_they_are_listed(server: PrivateServer) -> None:
    redis.Redis.from_url(server.url).execute_command("ACL", "SETUSER", "me", "on", ">right", "~*", "+ping", "+info")
    with pytest.raises(TransportError, match=r"docs/wire_format\.md"):
        from pipeline.transport.redis_streams import RedisStreams

        RedisStreams(with_user(server, "me", "right"), "test").declare("a", "decoder", ["flow"])


def test_a_server_out_of_memory_stops_the_run_with_that_word(tmp_path: Path, server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url)
    client.config_set("maxmemory", "4mb")
    stages = {"ledger": {"use": "Ledger", "reads": "decoder", "options": {"seconds_per_frame": 0.05}}}
    plan = make_test_plan(
        tmp_path, stages, source={"frames": 200, "side_px": 600}, payload="inline", redis={"url": server.url}
    )
    with nothing_left_behind(tmp_path), pytest.raises(UserError, match="out of memory"):
        Supervisor(plan).run()
    assert not list(plan.output.glob("*.txt"))


def seen_frames(status: Status) -> int:
    return status["sources"]["a"]["stages"]["ledger"]["frames"]


def test_cut_connections_are_made_again_and_nothing_is_lost(tmp_path: Path, server: PrivateServer) -> None:
    source = {"frames": 100_000, "frames_per_second": 100}
    plan = make_test_plan(tmp_path, LEDGER, source=source, redis={"url": server.url})
    client, cuts = redis.Redis.from_url(server.url), [0]

    def cut(status: Status) -> None:
        """Whenever frames have come since the last time: a slow machine must have made its connections again."""
        if seen_frames(status) <= cuts[-1]:
            return
        if len(cuts) == 6:
            supervisor.drain()
        else:
            cuts.append(seen_frames(status))
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    supervisor = Supervisor(plan, on_status=cut)
    assert supervisor.run()["state"] == "stopped"
    client.close()
    *frames, end = ledger(plan)
    assert (frames, end) == ([str(index) for index in range(len(frames))], "stopped")


def test_a_server_that_hangs_for_a_while_is_waited_for(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 200, "frames_per_second": 100}, redis={"url": server.url})
    paused = OnceFramesFlow(server, "CLIENT", "PAUSE", "2000", "ALL")
    assert Supervisor(plan, on_status=paused).run()["state"] == "finished"
    assert paused.done
    assert ledger(plan) == [*map(str, range(200)), "end"]


class OnceFramesFlow:
    """A command in the midst of a run, however long it took to start."""

    def __init__(self, server: PrivateServer, *command: str) -> None:
        self.done = False
        self._server, self._command = server, command

    def __call__(self, status: Status) -> None:
        if not self.done and seen_frames(status) >= 20:
            self.done = True
            with redis.Redis.from_url(self._server.url) as client:
                client.execute_command(*self._command)


def test_a_flushed_server_ends_a_run_over_files_with_a_word(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(
        tmp_path, LEDGER, source={"frames": 10_000, "frames_per_second": 100}, redis={"url": server.url}
    )
    flushed = OnceFramesFlow(server, "FLUSHALL")
    with nothing_left_behind(tmp_path), pytest.raises(TransportError, match=r"lost this run's data.*run it again"):
        Supervisor(plan, on_status=flushed).run()


def test_a_camera_goes_on_after_the_server_lost_its_data(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(
        tmp_path,
        LEDGER,
        sources={"a": {"input": "live"}},
        source={"frames": 100_000, "frames_per_second": 50},
        redis={"url": server.url},
    )
    flushed = OnceFramesFlow(server, "FLUSHALL")
    after: list[int] = []

    def flush_and_go_on(status: Status) -> None:
        after.extend([seen_frames(status)] * flushed.done)
        if after and after[-1] >= min(after) + 40:  # it may count from zero again
            supervisor.drain()
        flushed(status)

    supervisor = Supervisor(plan, on_status=flush_and_go_on)
    assert supervisor.run()["state"] == "stopped"
    *frames, end = ledger(plan)
    assert end == "stopped" and int(frames[-1]) >= 40 and frames == sorted(set(frames), key=int)


def test_two_runs_under_one_name_do_not_mix(tmp_path: Path, server: PrivateServer) -> None:
    source, begun = {"frames": 100_000, "frames_per_second": 50}, threading.Event()
    plan = make_test_plan(tmp_path, LEDGER, source=source, redis={"url": server.url})
    first = Supervisor(plan, on_status=lambda status: begun.set() if seen_frames(status) else None)
    running = threading.Thread(target=first.run)
    running.start()
    try:
        assert begun.wait(60)
        with pytest.raises(TransportError, match="another run of this pipeline is active"):
            Supervisor(plan).run()
    finally:
        first.drain()
        running.join()
    *frames, end = ledger(plan)
    assert (frames, end) == ([str(index) for index in range(len(frames))], "stopped")


def test_a_run_leaves_no_key_on_a_server_of_the_users(tmp_path: Path, server: PrivateServer) -> None:
    client = redis.Redis.from_url(server.url)
    client.set("theirs", "untouched")
    Supervisor(make_test_plan(tmp_path, LEDGER, redis={"url": server.url})).run()
    assert client.keys("*") == [b"theirs"]


def test_tls_is_spoken(tmp_path: Path) -> None:
    program = find_program()
    key, certificate, port = tmp_path / "key.pem", tmp_path / "cert.pem", free_port()
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
        + ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True,
        check=False,
    )
    if made.returncode != 0:
        pytest.skip("openssl is not there to make a certificate")
    command = [program.path, "--port", "0", "--tls-port", str(port), "--save", "", "--dir", tmp_path]
    command += ["--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no"]
    command += ["--requirepass", "secret"]
    with subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if not any("Ready to accept" in line for line in process.stdout):
                pytest.skip(f"{program.path} was built without TLS")
            url = f"rediss://:secret@localhost:{port}/0?ssl_ca_certs={quote(str(certificate))}"
            connect(url).close()
            with pytest.raises(TransportError, match="cannot be reached"):
                connect(f"rediss://:secret@localhost:{port}/0")  # its certificate is nobody's
        finally:
            process.terminate()
