"""Real frames that a teacher labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from raftline.synthetic.photographs import TexturesError, write_packed
from raftline.training.frame_clips import FrameClips, pack_videos
from raftline.training.trainer import Trainer
from tests.data import data_path
from tests.raftline.raft.recipes import texture
from tests.raftline.training.training_bench import CPU, small_options


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Two runs of an image that moves right, 6 px from frame to frame."""
    images = [cv2.GaussianBlur(texture(180, 260, seed), (0, 0), 9) for seed in (0, 1)]
    frames = [np.ascontiguousarray(p[:, 20 - 6 * n : 240 - 6 * n]).astype(np.uint8) for p in images for n in range(3)]
    assert write_packed(frames, tmp_path / "frames.safetensors") == 6
    return tmp_path / "frames.safetensors"


def test_runs_are_cropped_alike_and_nothing_of_their_flow_is_known(packed: Path) -> None:
    batch = FrameClips(packed, (128, 136), seed=0).batch(range(6))
    assert batch.frames.shape == (6, 3, 3, 128, 136)
    assert not batch.valid.any()
    for clip in batch.frames:
        # Six pixels of motion at most twice the size: far nearer to each other than to the other image.
        assert float((clip[0] - clip[1]).abs().mean()) < 0.8 * float((clip[0] - clip[0].flip(1)).abs().mean())
    assert {name.rpartition(" ")[2] for name in batch.names} == {"0", "1"}


def test_a_clip_is_a_function_of_seed_and_number(packed: Path) -> None:
    one, other = FrameClips(packed, (128, 128), 0), FrameClips(packed, (128, 128), 1)
    assert torch.equal(one.batch([4]).frames[0], one.batch([3, 4]).frames[1])
    assert not torch.equal(one.batch([4]).frames, other.batch([4]).frames)


def test_videos_are_packed_in_runs_of_three(tmp_path: Path) -> None:
    video = data_path("video", "shaky", "meshflow-2.m4v")
    runs = pack_videos([video], tmp_path / "frames.safetensors")
    assert 24 <= runs <= 36
    batch = FrameClips(tmp_path / "frames.safetensors", (128, 128), 0).batch([0, 1])
    assert batch.frames.std() > 5
    (tmp_path / "no.mp4").write_text("hello")
    with pytest.raises(TexturesError, match=r"no.mp4: cannot be read, or has fewer than 3 frames"):
        pack_videos([tmp_path / "no.mp4"], tmp_path / "none")


def test_a_file_of_something_else_is_refused(packed: Path, tmp_path: Path) -> None:
    write_packed([texture(128, 128)], tmp_path / "one")
    with pytest.raises(TexturesError, match="1 images, expected runs of 3"):
        FrameClips(tmp_path / "one", (128, 128), 0)


def test_a_teacher_makes_them_worth_a_step(packed: Path, tmp_path: Path) -> None:
    overrides = {"frames.clips": 1, "frames.source": str(packed), "distillation.teacher": "default"}
    options = small_options(tmp_path / "out", **{**overrides, "synthetic.clips": 0})
    trainer = Trainer(options.with_changes(iterations=2), CPU)
    report = trainer.step()()
    assert report.loss > 0 and np.isfinite(report.gradient)
    assert 0 < report.epe_px < 50  # from the teacher's flow
