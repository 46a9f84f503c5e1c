"""Pairs from disk: layouts of the training sets, shuffling, augmentation, and files that are damaged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from raftline.evaluation.datasets import DatasetError, open_dataset
from raftline.flow.files import FlowFileError, write_flow
from raftline.training.file_clips import FileClips
from raftline.training.options import AugmentationOptions
from tests.data import data_path
from tests.raftline.evaluation.test_pfm import write_pfm
from tests.raftline.raft.recipes import texture

SIZE = (128, 136)


def write_image(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), texture(144, 160, seed))


def chairs(folder: Path, count: int) -> Path:
    for number in range(1, count + 1):
        for ending in (1, 2):
            write_image(folder / "data" / f"{number:05d}_img{ending}.ppm", number)
        write_flow(folder / "data" / f"{number:05d}_flow.flo", np.full((144, 160, 2), number, np.float32))
    return folder


def clips_of(*sets: str, seed: int = 0) -> FileClips:
    return FileClips(sets, SIZE, AugmentationOptions(), seed, workers=2)


def test_every_epoch_is_another_order_of_all_pairs(tmp_path: Path) -> None:
    clips = clips_of(f"chairs:{chairs(tmp_path, 5)}")
    first, second = clips.batch(range(5)), clips.batch(range(5, 10))
    clips.close()
    assert sorted(first.names) == sorted(second.names)
    assert first.names != second.names
    assert first.frames.shape == (5, 2, 3, *SIZE) and first.flows.shape == (5, 1, 2, *SIZE)
    assert first.visible is None


def test_a_clip_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    folder = f"chairs:{chairs(tmp_path, 3)}"
    one, other_order, other_seed = clips_of(folder), clips_of(folder), clips_of(folder, seed=1)
    other_order.read_ahead([2, 1])
    a, b, c = one.batch([1, 2]), other_order.batch([1, 2]), other_seed.batch([1, 2])
    for clips in (one, other_order, other_seed):
        clips.close()
    assert torch.equal(a.frames, b.frames) and torch.equal(a.flows, b.flows)
    assert not torch.equal(a.frames, c.frames)


def test_a_set_may_be_drawn_several_times_as_often(tmp_path: Path) -> None:
    one, two = chairs(tmp_path / "one", 2), chairs(tmp_path / "two", 3)
    clips = clips_of(f"chairs:{one}*4", f"chairs:{two}")
    names = clips.batch(range(len(clips))).names
    clips.close()
    assert len(clips) == 11
    assert sum(name.startswith(str(one)) for name in names) == 8


def test_sparse_truth_stays_sparse(tmp_path: Path) -> None:
    clips = clips_of(f"kitti:{data_path('flow', 'kitti')}")
    batch = clips.batch(range(8))
    clips.close()
    shares = batch.valid.float().mean(dim=(1, 2, 3))
    assert 0.05 < float(shares.max()) < 0.6  # crops of the sky have none
    assert torch.isfinite(batch.flows).all()
    assert not batch.flows.abs().sum(dim=2)[~batch.valid].any()


def test_a_truncated_flow_is_named(tmp_path: Path) -> None:
    folder = chairs(tmp_path, 1)
    truth = folder / "data" / "00001_flow.flo"
    truth.write_bytes(truth.read_bytes()[:-100])
    clips = clips_of(f"chairs:{folder}")
    with pytest.raises(FlowFileError, match=r"00001_flow.flo: truncated"):
        clips.batch([0])
    clips.close()


def test_a_flow_of_another_size_is_named(tmp_path: Path) -> None:
    folder = chairs(tmp_path, 1)
    write_flow(folder / "data" / "00001_flow.flo", np.zeros((10, 12, 2)))
    clips = clips_of(f"chairs:{folder}")
    with pytest.raises(DatasetError, match=r"00001_img1.ppm: the images are 160x144 .* the flow 12x10"):
        clips.batch([0])
    clips.close()


def test_things_in_its_layout_forward_and_backward(tmp_path: Path) -> None:
    images, truths = Path("TRAIN/A/0003/left"), tmp_path / "optical_flow/TRAIN/A/0003"
    for number in (6, 7, 8):
        for quality in ("frames_cleanpass", "frames_finalpass"):
            write_image(tmp_path / quality / images / f"{number:04d}.png")
    flow_px = np.ones((144, 160, 2), np.float32)
    for number in (6, 7):
        write_pfm(truths / "into_future/left" / f"OpticalFlowIntoFuture_{number:04d}_L.pfm", flow_px)
    for number in (7, 8):
        write_pfm(truths / "into_past/left" / f"OpticalFlowIntoPast_{number:04d}_L.pfm", -flow_px)
    dataset = open_dataset(f"things:{tmp_path}", "training")
    pairs = {scene.name: [(p.image1.stem, p.image2.stem) for p in scene.pairs] for scene in dataset.scenes}
    assert pairs["frames_cleanpass/A/0003/into_future"] == [("0006", "0007"), ("0007", "0008")]
    assert pairs["frames_finalpass/A/0003/into_past"] == [("0008", "0007"), ("0007", "0006")]
    assert len(pairs) == 4
    clips = clips_of(f"things:{tmp_path}")
    assert clips.batch(range(8)).valid.all()
    clips.close()
    (truths / "into_past/left/OpticalFlowIntoPast_0007_L.pfm").unlink()
    with pytest.raises(DatasetError, match=r"OpticalFlowIntoPast_0007_L.pfm is not there; the layout is frames_"):
        open_dataset(f"things:{tmp_path}")


def test_hd1k_in_its_layout_pairs_only_within_a_sequence(tmp_path: Path) -> None:
    for name in ("000000_0000", "000000_0001", "000001_0000", "000001_0001", "000001_0002"):
        write_image(tmp_path / "hd1k_input/image_2" / f"{name}.png")
        truth = tmp_path / "hd1k_flow_gt/flow_occ" / f"{name}.png"
        truth.parent.mkdir(parents=True, exist_ok=True)
        write_flow(truth, np.zeros((144, 160, 2), np.float32))
    dataset = open_dataset(f"hd1k:{tmp_path}")
    assert [len(scene.pairs) for scene in dataset.scenes] == [1, 2]
    assert dataset.sparse


@pytest.mark.parametrize("name", ["things", "hd1k"])
def test_another_layout_says_what_was_expected_where(name: str, tmp_path: Path) -> None:
    (tmp_path / "holiday").mkdir()
    with pytest.raises(DatasetError, match=rf"{name}: expected .* under {tmp_path}; found there: holiday"):
        clips_of(f"{name}:{tmp_path}")


def test_the_training_split_of_chairs_is_the_rest(tmp_path: Path) -> None:
    folder = chairs(tmp_path, 3)
    (folder / "FlyingChairs_train_val.txt").write_text("1\n2\n1\n")
    (scene,) = open_dataset(f"chairs:{folder}", "training").scenes
    assert [pair.name for pair in scene.pairs] == ["00001", "00003"]
