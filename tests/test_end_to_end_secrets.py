"""Every password of a run is searched for in everything that others could read, over TLS, with the least rights."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
import yaml

from pipeline.runtime.run_directory import run_directories
from tests.command_line import ROOT, command
from tests.data import data_path
from tests.free_port import free_port
from tests.rtsp_server import rtsp_server

SECRETS = {
    "CAM_PASSWORD": "camSeCret-31",
    "WRONG_PASSWORD": "wrongSeCret-32",
    "REDIS_PASSWORD": "redisSeCret-33",
    "HOOK_SECRET": "hookSeCret-34-of-some-length",
    "HOOK_PASSWORD": "hookSeCret-35",
}
ADMIN = "adminSeCret-36"


def _with_tls() -> str | None:
    """A server program that speaks TLS."""
    for program in ("/usr/bin/redis-server", shutil.which("redis-server"), shutil.which("valkey-server")):
        if program and Path(program).exists():
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
            if "libssl" in linked:
                return program
    return None


@contextmanager
def tls_server(folder: Path) -> Iterator[tuple[int, Path]]:
    """A Redis that speaks TLS alone, with a user of the rights that the documents name: its port and certificate."""
    program = _with_tls()
    if program is None:
        if "CI" in os.environ:
            pytest.fail("no redis-server with TLS: apt-get install redis-server")
        pytest.skip("no redis-server with TLS: apt-get install redis-server")
    key, certificate, port = folder / "key.pem", folder / "cert.pem", free_port()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
        + ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        capture_output=True,
        check=True,
    )
    flags = ["--port", "0", "--tls-port", port, "--save", "", "--dir", folder, "--tls-auth-clients", "no"]
    flags += ["--tls-cert-file", certificate, "--tls-key-file", key, "--requirepass", ADMIN]
    with subprocess.Popen([str(part) for part in (program, *flags)], stdout=subprocess.DEVNULL) as process:
        try:
            _until(lambda: _answers(port, certificate), "Redis does not answer")
            yield port, certificate
        finally:
            process.terminate()


def _admin(port: int, certificate: Path) -> redis.Redis:
    return redis.Redis(host="localhost", port=port, ssl=True, ssl_ca_certs=str(certificate), password=ADMIN)


def _answers(port: int, certificate: Path) -> bool:
    try:
        with _admin(port, certificate) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _until(true: Any, otherwise: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.1)


def _documented_rights() -> str:
    return re.findall(r"ACL SETUSER raftline on >PASSWORD (.*)", (ROOT / "docs" / "wire_format.md").read_text())[0]


def _configuration(folder: Path, camera: str, wrong: str) -> Path:
    config = {
        "name": "guarded",
        "output": str(folder / "out"),
        "sources": {"front": {"input": camera}, "refused": {"input": wrong}},
        "stages": {
            "decoder": {"use": "stages.decoder:Decoder"},
            "flow": {"use": "stages.flow:OpticalFlow", "reads": "decoder", "options": {"estimator": "dis"}},
            "motion": {"use": "stages.motion_mask:MotionMask", "reads": "flow", "options": {"merge_seconds": 0.2}},
            "events": {"use": "stages.event_log:EventLog", "reads": "motion", "options": {"thumbnails": "{source}.e"}},
            "hook": {
                "use": "stages.webhook:Webhook",
                "reads": "events",
                "options": {"url": "http://me:${HOOK_PASSWORD}@127.0.0.1:1/h", "secret": "${HOOK_SECRET}"},
            },
        },
    }
    file = folder / "guarded.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def _forms(secret: str) -> list[bytes]:
    plain = secret.encode()
    return [plain, quote(secret, safe="").encode(), base64.b64encode(plain).rstrip(b"=")[:-1], plain.hex().encode()]


def _everything_in(client: redis.Redis) -> dict[str, bytes]:
    """Each key with all that is under it, as bytes."""
    readers = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": lambda key: (client.xrange(key), client.xinfo_groups(key)),
    }
    found = {}
    for key in client.keys("*"):  # type: ignore
        with contextlib.suppress(KeyError, redis.ResponseError):  # it is gone by now
            found[f"key {key!r}"] = key + repr(readers[client.type(key)](key)).encode()  # type: ignore
    return found


def _command_lines() -> bytes:
    """Of all processes of pipelines."""
    lines = b""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except OSError:
            continue
        if any(part in line for part in (b"run_pipeline.py", b"pipeline.runtime", b"pipeline/runtime")):
            lines += line
    return lines


def test_no_password_is_in_a_log_a_metric_a_key_a_file_or_a_command_line(tmp_path: Path) -> None:
    video = data_path("video", "odd", "bikes.mp4")
    environment = {**os.environ, **SECRETS, "RAFTLINE_LOG": "DEBUG"}
    with (
        tls_server(tmp_path) as (port, certificate),
        rtsp_server(video, user="me", password=SECRETS["CAM_PASSWORD"]) as server,
        _admin(port, certificate) as admin,
    ):
        rights = _documented_rights().split()
        admin.execute_command("ACL", "SETUSER", "raftline", "on", f">{SECRETS['REDIS_PASSWORD']}", *rights)
        camera = server.url.replace(SECRETS["CAM_PASSWORD"], "${CAM_PASSWORD}")
        wrong = server.url.replace(SECRETS["CAM_PASSWORD"], "${WRONG_PASSWORD}")
        file, metrics = _configuration(tmp_path, camera, wrong), free_port()
        url = f"rediss://raftline:${{REDIS_PASSWORD}}@localhost:{port}/0?ssl_ca_certs={quote(str(certificate))}"
        log = tmp_path / "log.txt"
        with log.open("w") as lines:
            run = subprocess.Popen(
                command("run", file, "--redis", url, "--metrics-port", metrics),
                cwd=tmp_path,
                env=environment,
                stdout=lines,
                stderr=lines,
            )
        try:
            told = tmp_path / "out" / "front.motion.jsonl"
            _until(lambda: told.exists() and told.read_text(), "no event", 180)
            _until(lambda: "401 unauthorized" in log.read_text(), "nothing of the wrong password")
            seen = _everything_in(admin) | {"command lines": _command_lines()}
            for path in ("metrics", "healthz", "readyz"):
                seen[path] = _get(f"http://127.0.0.1:{metrics}/{path}")
            for options in ((), ("--json",)):
                asked = command("status", "guarded", "--redis", url, *options)
                status = subprocess.run(asked, env=environment, capture_output=True, check=False)
                assert status.returncode == 0, status.stderr
                seen[f"status {options}"] = status.stdout + status.stderr
            for path in run_directories():
                with contextlib.suppress(FileNotFoundError):  # of another run, which has ended
                    assert stat.S_IMODE(path.stat().st_mode) == 0o700
            run.send_signal(signal.SIGTERM)
            assert run.wait(150) == 0
        finally:
            run.kill()
            run.wait()
    seen |= {str(path): path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    seen["log"] = log.read_bytes()
    assert b"guarded.yaml" in seen["command lines"] and b"guarded" in seen["metrics"]
    assert b"refused" in seen["status ('--json',)"]
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["sources"]["front"]["stages"]["events"]["frames"]
    found = [(name, where) for name, secret in SECRETS.items() for where, text in seen.items() if _is_in(secret, text)]
    assert not found


def _is_in(secret: str, text: bytes) -> bool:
    return any(form in text for form in _forms(secret))


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.read()
    except urllib.error.HTTPError as error:  # 503 of /readyz has a body, too
        with error:
            return error.read()
