"""docs/wire_format.md is true: its example runs, its rights suffice, its keys are all there are."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from pipeline.runtime.supervisor import Supervisor
from pipeline.transport.keys import Keys
from pipeline.transport.redis_server import PrivateServer
from tests.pipeline.running import make_test_plan

PAGE = (Path(__file__).parents[2] / "docs" / "wire_format.md").read_text()


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    server = PrivateServer.start(memory_mb=64)
    yield server
    server.stop()


def example() -> str:
    match = re.search(r"<!-- example: read_flow.py -->\n```python\n(.*?)```", PAGE, re.DOTALL)
    assert match
    return match[1]


def test_a_program_with_redis_py_alone_reads_the_flow_of_a_camera(tmp_path: Path, server: PrivateServer) -> None:
    program = tmp_path / "read_flow.py"
    program.write_text(example())
    flow = {"use": "Shifter", "reads": "decoder"}
    plan = make_test_plan(
        tmp_path,
        {"flow": flow},
        sources={"front": {"input": "live"}},
        source={"frames": 60, "frames_per_second": 30},
        redis={"url": server.url},
        payload="inline",
    )
    with subprocess.Popen(
        [sys.executable, program, server.url, "test", "front", "flow"], stdout=subprocess.PIPE, text=True
    ) as reader:
        Supervisor(plan).run()
        said, _ = reader.communicate(timeout=30)
    lines = [line.split() for line in said.splitlines()]
    assert len(lines) > 30
    assert {(line[3], line[4]) for line in lines} == {("1.5", "-0.25")}


def test_the_rights_on_the_page_are_enough(tmp_path: Path, server: PrivateServer) -> None:
    rule = re.search(r"ACL SETUSER raftline (.*)", PAGE)
    assert rule
    redis.Redis.from_url(server.url).execute_command("ACL", "SETUSER", "raftline", *rule[1].split())
    url = f"unix://raftline:PASSWORD@{quote(server.url.removeprefix('unix://'))}"
    plan = make_test_plan(
        tmp_path, {"ledger": {"use": "Ledger", "reads": "decoder"}}, redis={"url": url}, payload="inline"
    )
    assert Supervisor(plan).run()["state"] == "finished"


def test_every_key_is_on_the_page() -> None:
    keys, plain = Keys("NAME"), {"source": "SOURCE", "stage": "STAGE"}
    made = [getattr(keys, name)(**plain) for name in ("stream", "once", "open", "state", "counters", "status")]
    made += [getattr(keys, name)(**plain) for name in ("attempts", "lease", "fence")]
    made += [keys.free("RING"), keys.held("RING"), keys.dead_letters("STAGE"), keys.run_lock, keys.run_mark]
    for key in made:
        assert f"`{key.replace('raftline:{NAME}', 'P')}`" in PAGE
