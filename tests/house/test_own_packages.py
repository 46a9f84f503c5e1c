"""Folders of the user's called `stages` and `pipeline` beside the script: they break nothing, and are not broken."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = {
    "raftline first": """
import raftline
from raftline import video
from stages import THING, hello
import stages.mine, pipeline.tools
""",
    "the user's first": """
from stages import THING, hello
import stages.mine, pipeline.tools
from raftline import video
""",
    "only the library": """
import raftline, raftline.flow.files
from stages import THING, hello
import stages.mine, pipeline.tools
from raftline import video
""",
}
USE = """
assert (THING, hello(), stages.mine.hello(), pipeline.tools.X) == (5, "mine", "mine", 7)
import numpy as np
frames = [np.full((64, 64, 3), 90, np.uint8)] * 3
print(len(list(video.flow(frames, estimator="dis"))), "frames")
import stages.decoder, pipeline.stage
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").write_text("from .mine import hello\nTHING = 5\n")
    (tmp_path / "stages/mine.py").write_text('def hello(): return "mine"\n')
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/tools.py").write_text("X = 7\n")
    return tmp_path


def python(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=250, check=False
    )


@pytest.mark.parametrize("order", SCRIPTS)
def test_both_are_imported_whatever_comes_first(folder: Path, order: str) -> None:
    (folder / "script.py").write_text(SCRIPTS[order] + USE)
    done = python("script.py", folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 frames"


def test_a_script_called_pipeline_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "pipeline.py").write_text("from raftline import video\nprint(video.flow)\n")
    (tmp_path / "other.py").write_text("from raftline import video\nimport pipeline\nprint(pipeline.video is video)\n")
    for script in ("pipeline.py", "other.py"):
        done = python(script, folder=tmp_path)
        assert done.returncode == 0, done.stderr


def test_workers_run_ours_where_the_current_folder_has_theirs(folder: Path) -> None:
    (folder / "stages/relay.py").write_text(
        "from pipeline.stage import Stage\nfrom pipeline.messages import Frame\n"
        "class Relay(Stage):\n    reads, writes = (Frame,), Frame\n"
        "    def process(self, message):\n        yield message\n"
    )
    (folder / "my.yaml").write_text(
        "sources: {a: {input: synthetic, use: 'stages.synthetic:SyntheticSource', "
        "options: {width: 64, height: 64, seconds: 0.2}}}\n"
        "stages:\n  decoder: {use: 'stages.decoder:Decoder'}\n  relay: {use: 'stages.relay:Relay', reads: decoder}\n"
        "  video: {use: 'stages.video_writer:VideoWriter', reads: relay, options: {path: '{source}.mp4'}}\n"
    )
    for command in (["-m", "raftline", "run", "my.yaml", "-o", "one"], ["-m", "raftline", "validate", "my.yaml"]):
        done = python(*command, folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "one/a.mp4").exists()


def test_a_module_of_a_name_of_ours_is_warned_of(folder: Path) -> None:
    (folder / "stages/decoder.py").write_text("class Decoder: pass\n")
    done = python("-c", "from raftline import video; import stages.decoder; stages.decoder.stage", folder=folder)
    assert done.returncode == 0 and "raftline has modules of the names decoder" in done.stderr


def test_a_module_of_a_name_of_ours_that_is_loaded_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "stages/decoder.py").write_text("class Decoder: pass\n")
    done = python("-W", "ignore", "-c", "import stages.decoder; from raftline import video", folder=folder)
    assert done.returncode != 0
    assert "ImportError: stages.decoder is loaded from" in done.stderr and "rename yours" in done.stderr
