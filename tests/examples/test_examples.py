"""Every example runs as it stands, and gives what it says."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def frames_of(file: Path) -> int:
    with av.open(str(file)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_stage_of_ones_own_writes_a_line_for_every_flow(tmp_path: Path) -> None:
    run("-m", "raftline", "run", EXAMPLES / "own_stage/speed_log.yaml", "-o", "out", folder=tmp_path)
    with (tmp_path / "out/shaky.speed.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 59
    assert all(0 < float(row["median_px_s"]) <= float(row["fastest_px_s"]) for row in rows)


def test_a_source_of_ones_own_is_seen_to_move(tmp_path: Path) -> None:
    run("-m", "raftline", "run", EXAMPLES / "own_source/bouncing_ball.yaml", "-o", "out", folder=tmp_path)
    (event,) = [json.loads(line) for line in (tmp_path / "out/ball.motion.jsonl").read_text().splitlines()]
    assert event["end_seconds"] - event["begin_seconds"] > 1.5 and not event["uncertain"]
    assert frames_of(tmp_path / "out/ball.overlay.mp4") == 50


def test_a_session_says_how_much_each_frame_moves(tmp_path: Path) -> None:
    video = tmp_path / "short.mp4"
    write_video(video, frames=4)
    lines = run(EXAMPLES / "session.py", video, folder=tmp_path).splitlines()
    assert len(lines) == 3 and all(line.startswith(("motion 3.", "motion 2.")) for line in lines), lines


def write_video(file: Path, frames: int) -> None:
    """A textured scene that goes 3 px to the right each frame."""
    import cv2
    import numpy as np

    noise = np.random.default_rng(1).integers(0, 256, (128, 160 + 3 * frames, 3), np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 3)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        for index in range(frames):
            left = 3 * (frames - index)
            image = np.ascontiguousarray(scene[:, left : left + 160]).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))


@pytest.mark.slow
def test_the_notebook_runs_from_its_first_cell_to_its_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat = pytest.importorskip("nbformat") if not os.environ.get("CI") else __import__("nbformat")
    import nbclient

    monkeypatch.setenv("RAFTLINE_EXAMPLE_FOLDER", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook = nbformat.read(EXAMPLES / "flow_and_events.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=250, kernel_name="python3").execute(cwd=str(ROOT))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    assert any("<table" in output.get("data", {}).get("text/html", "") for output in outputs)
    assert frames_of(tmp_path / "steady.mp4") == 60


def test_the_wire_formats_page_shows_the_reader_as_it_stands() -> None:
    page, program = (ROOT / "docs/wire_format.md").read_text(), (EXAMPLES / "read_flow.py").read_text()
    assert program.partition('"""\n\nimport')[2] in page
