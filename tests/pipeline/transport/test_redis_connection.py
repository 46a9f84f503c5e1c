"""What the user is told when Redis refuses, and what a run survives."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from pipeline.errors import TransportError, TransportLost, UserError
from pipeline.runtime.supervisor import Supervisor
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


def test_cut_connections_are_made_again_and_nothing_is_lost(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 400, "frames_per_second": 100}, redis={"url": server.url})
    client, over = redis.Redis.from_url(server.url), threading.Event()

    def cut() -> None:
        while not over.wait(0.7):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        assert Supervisor(plan).run()["state"] == "finished"
    finally:
        over.set()
        thread.join()
    assert ledger(plan) == [*map(str, range(400)), "end"]


def test_a_server_that_hangs_for_a_while_is_waited_for(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 200, "frames_per_second": 100}, redis={"url": server.url})
    client = redis.Redis.from_url(server.url)
    timer = threading.Timer(2.0, lambda: client.execute_command("CLIENT", "PAUSE", "2000", "ALL"))
    timer.start()
    assert Supervisor(plan).run()["state"] == "finished"
    timer.join()
    assert ledger(plan) == [*map(str, range(200)), "end"]


def flush_once_frames_flow(client: redis.Redis) -> None:
    """FLUSHALL in the midst of a run, however long it took to start."""
    while not any(client.xinfo_stream(key)["last-generated-id"] != b"0-0" for key in client.scan_iter(_type="STREAM")):
        time.sleep(0.1)
    time.sleep(0.5)
    client.flushall()


def test_a_flushed_server_ends_a_run_over_files_with_a_word(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(
        tmp_path, LEDGER, source={"frames": 10_000, "frames_per_second": 100}, redis={"url": server.url}
    )
    flushed = threading.Thread(target=flush_once_frames_flow, args=[redis.Redis.from_url(server.url)])
    flushed.start()
    with nothing_left_behind(tmp_path), pytest.raises(TransportError, match=r"lost this run's data.*run it again"):
        Supervisor(plan).run()
    flushed.join()


def test_a_camera_goes_on_after_the_server_lost_its_data(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(
        tmp_path,
        LEDGER,
        sources={"a": {"input": "live"}},
        source={"frames": 400, "frames_per_second": 50},
        redis={"url": server.url},
    )
    flushed = threading.Thread(target=flush_once_frames_flow, args=[redis.Redis.from_url(server.url)])
    flushed.start()
    assert Supervisor(plan).run()["state"] == "finished"
    flushed.join()
    assert ledger(plan)[-2:] == ["399", "end"]


def test_two_runs_under_one_name_do_not_mix(tmp_path: Path, server: PrivateServer) -> None:
    plan = make_test_plan(tmp_path, LEDGER, source={"frames": 200, "frames_per_second": 50}, redis={"url": server.url})
    first = threading.Thread(target=lambda: Supervisor(plan).run())
    first.start()
    time.sleep(2)
    with pytest.raises(TransportError, match="another run of this pipeline is active"):
        Supervisor(plan).run()
    first.join()
    assert ledger(plan) == [*map(str, range(200)), "end"]


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
            time.sleep(1)
            if process.poll() is not None:
                pytest.skip(f"{program.path} was built without TLS")
            url = f"rediss://:secret@localhost:{port}/0?ssl_ca_certs={quote(str(certificate))}"
            connect(url).close()
            with pytest.raises(TransportError, match="cannot be reached"):
                connect(f"rediss://:secret@localhost:{port}/0")  # its certificate is nobody's
        finally:
            process.terminate()
