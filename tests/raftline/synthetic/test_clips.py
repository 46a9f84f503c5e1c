"""The data set: the same clips for the same seed, and degradations that do what their names say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from raftline.synthetic.clips import SyntheticClips, SyntheticOptions
from raftline.synthetic.compression import h264_like, jpeg
from raftline.synthetic.degradations import DegradationOptions, Degradations, degrade
from raftline.synthetic.photographs import TexturesError, pack_photographs, read_photographs
from raftline.synthetic.textures import texture_tiles
from tests.raftline.raft.recipes import texture

OPTIONS = SyntheticOptions(128, 136, tile_px=128)
CLEAN = DegradationOptions(**dict.fromkeys(vars(DegradationOptions()), 0.0))
NOTHING = Degradations(1.0, 1.0, False, (1.0, 1.0, 1.0), 0.0, None, 0.0, 0.0, None, None)


@pytest.fixture(scope="module")
def clips() -> SyntheticClips:
    return SyntheticClips(OPTIONS, seed=5)


def test_a_clip_is_a_function_of_seed_and_number(clips: SyntheticClips) -> None:
    one, again = clips.batch([3, 4]), SyntheticClips(OPTIONS, seed=5).batch([3, 4])
    for ours, theirs in zip(one[:4], again[:4], strict=True):
        assert torch.equal(ours, theirs)  # type: ignore[arg-type]
    assert one.names == ("synthetic seed 5 number 3", "synthetic seed 5 number 4")
    other = clips.with_seed(6).batch([3, 4])
    assert not torch.equal(one.frames, other.frames)


def test_a_clip_is_the_same_in_every_batch_but_for_its_noise() -> None:
    quiet = SyntheticClips(
        dataclasses.replace(OPTIONS, degradations=dataclasses.replace(DegradationOptions(), noise=0.0)), seed=1
    )
    alone, among = quiet.batch([9]), quiet.batch([8, 9])
    assert torch.equal(alone.flows[0], among.flows[1])
    torch.testing.assert_close(alone.frames[0], among.frames[1], atol=1, rtol=0)  # a rounding may fall the other way


def test_frames_are_whole_grey_levels_and_flows_finite(clips: SyntheticClips) -> None:
    batch = clips.batch(range(6))
    assert batch.frames.shape == (6, 3, 3, 128, 136)
    assert batch.flows.shape == (6, 2, 2, 128, 136)
    assert torch.equal(batch.frames, batch.frames.round())
    assert batch.frames.min() >= 0 and batch.frames.max() <= 255
    assert torch.isfinite(batch.flows).all()
    assert batch.valid.all()


def test_motions_are_from_none_to_large_and_often_small() -> None:
    drawn = SyntheticClips(dataclasses.replace(OPTIONS, degradations=CLEAN), seed=2).batch(range(48))
    largest = drawn.flows.norm(dim=2).flatten(1).amax(dim=1)
    assert int((largest == 0).sum()) >= 2
    assert int((largest > 20).sum()) >= 5
    assert int((drawn.flows.norm(dim=2).flatten(1).median(dim=1).values < 0.5).sum()) >= 12


def grey_ramp(frames: int = 3) -> torch.Tensor:
    ramp = torch.linspace(20, 230, 64).repeat(64, 1)
    return ramp.repeat(1, frames, 3, 1, 1)


NO_FLOW = torch.zeros(1, 2, 2, 64, 64)


def test_without_degradations_frames_stay() -> None:
    assert torch.equal(degrade(grey_ramp(), NO_FLOW, [NOTHING], 0), grey_ramp().round())


def test_exposure_scales_each_frame_by_its_own_gain() -> None:
    seen = degrade(grey_ramp(), NO_FLOW, [dataclasses.replace(NOTHING, gains=(1.0, 0.5, 2.0))], 0)
    assert torch.equal(seen[0, 1], (grey_ramp()[0, 1] * 0.5).round())
    assert seen[0, 2].max() == 255


def test_noise_has_the_deviation_asked_for_and_its_seed_decides() -> None:
    noisy = dataclasses.replace(NOTHING, noise=5.0)
    flat = torch.full((1, 3, 3, 64, 64), 128.0)
    one, again, other = (degrade(flat, NO_FLOW, [noisy], seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert float(one.std()) == pytest.approx(5.0, rel=0.05)
    assert not torch.equal(one[:, 0], one[:, 1])


def test_grey_frames_have_no_color() -> None:
    colored = torch.from_numpy(texture(64, 64)).permute(2, 0, 1).float().repeat(1, 3, 1, 1, 1)
    seen = degrade(colored, NO_FLOW, [dataclasses.replace(NOTHING, saturation=0.0)], 0)
    assert torch.equal(seen[:, :, 0], seen[:, :, 2])


def test_a_blur_keeps_the_mean_and_takes_detail() -> None:
    kernels = np.full((3, 7, 7), 1 / 49)
    colored = torch.from_numpy(texture(64, 64)).permute(2, 0, 1).float().repeat(1, 3, 1, 1, 1)
    seen = degrade(colored.clone(), NO_FLOW, [dataclasses.replace(NOTHING, kernels=kernels)], 0)
    assert float(seen.mean()) == pytest.approx(float(colored.mean()), rel=0.02)
    assert float(seen.std()) < 0.6 * float(colored.std())


def photograph() -> torch.Tensor:
    """Grey: what the chroma's half resolution takes away would hide what quantisation does."""
    grey = cv2.cvtColor(cv2.GaussianBlur(texture(128, 128), (0, 0), 1.5), cv2.COLOR_RGB2GRAY)
    return torch.from_numpy(grey).expand(1, 3, -1, -1).float()


def test_jpeg_is_as_wrong_as_opencvs_at_the_same_quality() -> None:
    image = photograph()
    array = np.ascontiguousarray(image[0].permute(1, 2, 0).numpy().astype(np.uint8)[:, :, ::-1])
    for quality in (20, 50, 90):
        encoded = cv2.imencode(".jpg", array, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        decoded = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.float64)
        theirs = np.abs(decoded - array).mean()
        ours = float((jpeg(image, torch.tensor([float(quality)])) - image).abs().mean())
        assert ours == pytest.approx(theirs, rel=0.05)  # theirs rounds to whole grey levels


def test_what_does_not_change_is_copied_by_the_codec_errors_included() -> None:
    still = photograph()[:, None].repeat(1, 3, 1, 1, 1)
    flows = torch.zeros(1, 2, 2, 128, 128)
    coarse, fine = (h264_like(still, flows, torch.tensor([q])) for q in (40.0, 16.0))
    assert float((coarse[:, 0] - still[:, 0]).abs().mean()) > 3 * float((fine[:, 0] - still[:, 0]).abs().mean())
    # Only the deblocking filter, and what it uncovers, changes between the frames.
    assert float((coarse[:, 1] - coarse[:, 0]).abs().mean()) < 0.3 * float((coarse[:, 0] - still[:, 0]).abs().mean())


def test_packed_photographs_are_those_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed in range(2):
        smooth = cv2.GaussianBlur(texture(150, 200, seed), (0, 0), 3)
        cv2.imwrite(str(folder / f"{seed}.png"), smooth[:, :, ::-1])
    assert pack_photographs(folder, tmp_path / "packed.safetensors") == 2
    for ours, theirs in zip(read_photographs(tmp_path / "packed.safetensors"), read_photographs(folder), strict=True):
        assert ours.shape == theirs.shape == (150, 200, 3)
        assert np.abs(ours.astype(int) - theirs.astype(int)).mean() < 3  # JPEG
    tiles = texture_tiles(tmp_path / "packed.safetensors", 128, procedural=4, seed=0)
    assert tiles.shape[1:] == (3, 128, 128) and tiles.dtype == torch.uint8
    assert len(tiles) > 4


def test_what_holds_no_photographs_is_named(tmp_path: Path) -> None:
    with pytest.raises(TexturesError, match="no image in this folder"):
        list(read_photographs(tmp_path))
    with pytest.raises(TexturesError, match=r"not there\. Give a folder"):
        list(read_photographs(tmp_path / "none"))
    (tmp_path / "packed").write_text("hello")
    with pytest.raises(TexturesError, match=r"not a file of packed images .* Make one of a folder"):
        list(read_photographs(tmp_path / "packed"))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8")
    with pytest.raises(TexturesError, match=r"broken.jpg: not an image, or damaged"):
        list(read_photographs(tmp_path))


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="width: expected a multiple of 8, at least 128 px; found 100"):
        SyntheticOptions(128, 100)
