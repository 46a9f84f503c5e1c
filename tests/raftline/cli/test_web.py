"""The page beside a run, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.command_line import lay_out, processes_of, run, running, wait_until_alone, wait_until_begun
from tests.raftline.cli.test_run import SLOW


def test_the_page_starts_with_its_run_and_ends_with_it_however_that_ends(tmp_path: Path) -> None:
    lay_out(tmp_path)
    name = f"page-of-{os.getpid()}"
    with running(
        tmp_path,
        "run",
        "counting.yaml",
        "-i",
        "a.mp4",
        "-o",
        "out",
        "--set",
        f"name={name}",
        "--web",
        "127.0.0.1:0",
        *SLOW,
    ) as process:
        assert process.stdout is not None
        address = re.fullmatch(r"the page: (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert address is not None
        wait_until_begun(tmp_path)
        with urllib.request.urlopen(f"{address[1]}api/state", timeout=30) as answer:
            state = json.load(answer)
        assert state["name"] == name and state["sources"][0]["name"] in ("a", "a.mp4")
        assert any(" web " in line for line in processes_of(tmp_path))
        process.kill()
        wait_until_alone(tmp_path)


def test_a_page_that_strangers_could_reach_is_refused_before_anything_starts(tmp_path: Path) -> None:
    lay_out(tmp_path)
    refused = run(tmp_path, "run", "counting.yaml", "-i", "a.mp4", "--web", "0.0.0.0:8642", code=2)
    assert "needs a token or users" in refused.stderr and not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [["web"], ["run", "demo", "--web", "127.0.0.1:0"]])
def test_without_the_packages_of_the_page_it_is_said_what_to_install(arguments: list[str], tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['fastapi'] = None; from raftline.cli.app import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", hidden, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: the page needs fastapi, which is not installed: pip install 'raftline[web]'\n"
