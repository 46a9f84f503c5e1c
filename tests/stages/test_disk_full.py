"""What a user sees when an output cannot be written. The limit on a file's size stands in for a full disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from stages.shared.output_errors import output_error
from stages.video_writer import VideoWriter
from tests.stages.frames import end, yuv_frame
from tests.stages.stage_bench import Machine, bench_context

_LIMITED = """
import resource, sys
from pathlib import Path
from pipeline.errors import OutputError
from stages.{module} import {cls}
from tests.stages.disk_full import messages
from tests.stages.stage_bench import Machine, bench_context

machine = Machine({cls}, bench_context(Path(sys.argv[1])), **{options})
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    machine.deliver(*messages({cls}))
except OutputError as error:
    print(error)
machine.close()
"""


def run_limited(folder: Path, module: str, cls: str, limit: int, **options) -> str:
    script = _LIMITED.format(module=module, cls=cls, limit=limit, options=options)
    done = subprocess.run([sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("missing", [1, 1_000, 2_000, 20_000])
def test_a_video_that_does_not_fit_names_the_file_and_what_to_do(tmp_path, missing):
    # The spool, the mp4 made of it, the mp4's index moved to the front: each is met by one of these.
    assert run_limited(tmp_path / "whole", "video_writer", "VideoWriter", 10**9, crf=0) == ""
    size = (tmp_path / "whole/clip.stabilized.mp4").stat().st_size
    said = run_limited(tmp_path, "video_writer", "VideoWriter", size - missing, crf=0)
    assert said.startswith(str(tmp_path / "clip.stabilized.mp4")), said
    assert "cannot write: File too large; the file outgrew the limit" in said and "-o DIR" in said
    assert not (tmp_path / "clip.stabilized.mp4").exists()


@pytest.mark.parametrize(
    ("module", "cls", "name"),
    [
        ("mask_writer", "MaskWriter", "clip.masks/000000.png"),
        ("flow_writer", "FlowWriter", "clip.flow/000000.flo"),
        ("event_log", "EventLog", "clip.motion.jsonl"),
    ],
)
def test_every_other_file_that_does_not_fit_is_named_too(tmp_path, module, cls, name):
    said = run_limited(tmp_path, module, cls, 20)
    assert said.startswith(str(tmp_path / name)) and "File too large" in said
    assert not (tmp_path / name).exists()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self/mountinfo").exists(), reason="needs /proc")
def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    machine = Machine(VideoWriter, bench_context(Path("/proc/self")))
    with pytest.raises(OutputError, match=r"/proc/self/clip\.stabilized\.mp4.*cannot write"):
        machine.deliver(yuv_frame(0, 0), end(1))


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "the disk is full: free some space"),
        (errno.EACCES, "no permission: write elsewhere"),
        (errno.EROFS, "read-only"),
        (errno.EBADF, "check the disk and the folder"),
    ],
)
def test_the_advice_fits_the_fault(number, advice):
    said = str(output_error(Path("out/x.mp4"), OSError(number, os.strerror(number))))
    assert said.startswith(f"out/x.mp4: cannot write: {os.strerror(number)}; ") and advice in said
