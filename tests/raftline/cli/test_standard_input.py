"""A video that is piped into ``raftline run``."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.command_line import command, lay_out, summary
from tests.stages.clips import write_clip

YAML = """
name: piped
stages:
  decoder: {use: "stages.decoder:Decoder"}
  sums: {use: "counting:Sum", reads: decoder}
"""


def piped(folder: Path, data: bytes | None) -> tuple[int, str]:
    """Exit code and errors of a run that reads `data`; None: nothing is piped in."""
    lay_out(folder)
    (folder / "piped.yaml").write_text(YAML)
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if data is None else {"input": data}
    arguments = command("run", "piped.yaml", "-i", "-", "-o", "out")
    done = subprocess.run(arguments, check=False, cwd=folder, capture_output=True, timeout=250, **given)
    return done.returncode, done.stderr.decode()


def test_every_frame_that_is_piped_in_is_processed(tmp_path: Path) -> None:
    code, errors = piped(tmp_path, write_clip(tmp_path / "clip.mkv", 25, codec="ffv1").read_bytes())
    assert code == 0, errors
    assert len((tmp_path / "out" / "stdin.sums.txt").read_text().splitlines()) == 25
    source = summary(tmp_path / "out")["sources"]["stdin"]
    assert (source["input"], source["policy"], source["state"]) == ("-", "lossless", "finished")


def test_nothing_that_is_piped_in_is_said(tmp_path: Path) -> None:
    code, errors = piped(tmp_path, None)
    assert code == 2 and "nothing is piped into this program; pipe in a video" in errors
