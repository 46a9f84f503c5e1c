"""`raftline.video`, as somebody calls it from a notebook: what it gives, what it refuses, what it leaves."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pipeline.errors import ConfigError, InputError, OutputError, UserError
from raftline import video
from stages.stabilization.kept_frames import KeptFrames

SHIFT_PX = 3


def scene_frames(count: int, width: int = 160, height: int = 128) -> list[np.ndarray]:
    """A textured scene that goes `SHIFT_PX` to the right each frame."""
    noise = np.random.default_rng(1).integers(0, 256, (height, width + SHIFT_PX * count, 3), np.uint8)
    scene = cv2.GaussianBlur(noise, (0, 0), 3)
    lefts = [SHIFT_PX * (count - index) for index in range(count)]
    return [np.ascontiguousarray(scene[:, left : left + width]) for left in lefts]


def crossing_frames(count: int) -> list[np.ndarray]:
    """A bright square that crosses a ground which stands still, and then is gone."""
    rng = np.random.default_rng(2)
    ground = cv2.GaussianBlur(rng.integers(0, 200, (120, 160, 3), np.uint8), (0, 0), 2)
    square = cv2.GaussianBlur(rng.integers(0, 200, (30, 30, 3), np.uint8), (0, 0), 2) // 2 + 120
    frames = []
    for index in range(count):
        frame = ground.copy()
        if 10 <= index < 50:
            left = 3 * (index - 10)
            frame[40:70, left : left + 30] = square
        frames.append(frame)
    return frames


def write_video(file: Path, frames: list[np.ndarray]) -> Path:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "10"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode(None))
    return file


def frames_in(file: Path) -> int:
    with av.open(str(file)) as container:
        return sum(1 for _ in container.decode(video=0))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip {1}.mp4", scene_frames(12))


def test_flow_of_a_file_has_a_step_for_every_frame(clip: Path) -> None:
    steps = list(video.flow(clip, estimator="dis"))
    assert [step.index for step in steps] == list(range(12))
    assert [step.time_seconds for step in steps] == pytest.approx([index / 30 for index in range(12)])
    assert steps[0].flow_px is None and steps[0].grid_px is None and steps[0].start == "first"
    for step in steps[1:]:
        assert step.flow_px is not None and step.flow_px.dtype == np.float32 and step.flow_px.shape == (128, 160, 2)
        assert np.median(step.flow_px[..., 0]) == pytest.approx(SHIFT_PX, abs=0.2)
        assert step.grid_px is not None and step.grid_px.shape == (16, 20, 2)
        assert step.frame.shape == (128, 160, 3) and step.frame.dtype == np.uint8


def test_flow_is_what_a_run_gives(clip: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "exact.yaml"
    configuration.write_text(
        "stages:\n  decoder: {use: 'stages.decoder:Decoder'}\n"
        "  flow: {use: 'stages.flow:OpticalFlow', reads: decoder, options: {estimator: dis}}\n"
        "  files: {use: 'stages.flow_writer:FlowWriter', reads: flow, options: {path: '{source}/{index:06d}.npz'}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "raftline",
        "run",
        str(configuration),
        "-i",
        str(clip),
        "-o",
        str(tmp_path / "out"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    for step in video.flow(clip, estimator="dis"):
        if step.flow_px is not None:
            (file,) = (tmp_path / "out").rglob(f"{step.index:06d}.npz")
            written = np.load(file)
            assert np.array_equal(step.flow_px, written[written.files[0]].astype(np.float32))


def test_flow_of_frames_from_a_list_and_from_a_generator(clip: Path) -> None:
    frames = scene_frames(5)
    for handed_over in (frames, (frame for frame in frames)):
        steps = list(video.flow(handed_over, fps=10, estimator="dis", full_resolution=False))
        assert [step.time_seconds for step in steps] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
        assert all(step.flow_px is None for step in steps) and steps[-1].grid_px is not None
        assert np.array_equal(steps[2].frame, frames[2])


def test_one_frame_has_a_step_and_no_flow() -> None:
    (step,) = video.flow(scene_frames(1), estimator="dis")
    assert step.flow_px is None and step.start == "first"


def test_confidence_is_there_when_asked_for() -> None:
    *_, step = video.flow(scene_frames(3), iterations=2, confidence=True)
    assert step.confidence is not None and step.confidence.shape == (16, 20) and step.confidence.mean() > 0.5


def test_motion_gives_masks_objects_and_events(tmp_path: Path) -> None:
    motion = video.motion(crossing_frames(100), estimator="dis", camera="fixed")
    steps = list(motion)
    assert len(steps) == 100 and all(step.mask.shape == (120, 160) and step.mask.dtype == np.uint8 for step in steps)
    moving = [step.index for step in steps if step.mask.any()]
    assert moving and 10 <= moving[0] <= 14 and moving[-1] >= 45
    assert any(step.objects for step in steps)
    (event,) = motion.events
    assert event.begin_seconds == pytest.approx(10 / 30, abs=0.2) and event.end_seconds < 2.6
    assert event.peak_area > 0.01 and not event.cut_short


def test_events_are_those_of_a_run_and_a_table_takes_them_as_they_are(tmp_path: Path) -> None:
    file = write_video(tmp_path / "crossing.mp4", crossing_frames(100))
    command = [sys.executable, "-m", "raftline", "run", "motion_masks", "-i", str(file), "-o", str(tmp_path / "out")]
    command += ["--set", "stages.flow.options.estimator=dis"]
    subprocess.run(command, check=True, capture_output=True)
    lines = [json.loads(line) for line in (tmp_path / "out/crossing.motion.jsonl").read_text().splitlines()]
    events = video.motion(file, estimator="dis").events  # asked for at once: goes through the video by itself
    assert len(events) == len(lines) == 1
    told = json.loads(json.dumps(dataclasses.asdict(events[0])))
    assert told == {name: lines[0][name] for name in told}
    pandas = pytest.importorskip("pandas")
    assert list(pandas.DataFrame(events)["begin_seconds"]) == [lines[0]["begin_seconds"]]


def test_stabilize_writes_the_video_and_nothing_else(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "results {x}" / "steady.mp4"
    done = video.stabilize(clip, out, estimator="dis", max_zoom=1.3)
    assert done.path == out and done.frames == 12 and frames_in(out) == 12
    assert [path.name for path in out.parent.iterdir()] == ["steady.mp4"]
    assert done.status["stabilization"]["smoothing"] == "whole_clip"


def test_stabilize_takes_a_list_of_frames_and_a_generator_where_it_reads_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = scene_frames(12)
    for video_frames in (frames, (frame for frame in frames)):
        assert video.stabilize(video_frames, tmp_path / "a.mp4", estimator="dis").frames == 12
    monkeypatch.setattr("stages.stabilization.whole_clip.KeptFrames", partial(KeptFrames, most_bytes=100_000))
    with pytest.raises(UserError, match="a generator can be read only once"):
        video.stabilize((frame for frame in frames), tmp_path / "b.mp4", estimator="dis")
    assert not (tmp_path / "b.mp4").exists()
    once = (frame for frame in frames)
    assert video.stabilize(once, tmp_path / "c.mp4", estimator="dis", smoothing="look_ahead").frames == 12


def test_the_camera_path_is_written_where_it_is_asked_for(clip: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    video.stabilize(clip, "steady.mp4", estimator="dis", path="path.jsonl")
    assert len((tmp_path / "path.jsonl").read_text().splitlines()) >= 12


def test_progress_counts_up_to_the_number_of_frames(clip: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    video.stabilize(clip, tmp_path / "s.mp4", estimator="dis", on_progress=lambda done, of: seen.append((done, of)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen) and seen[-1] == (12, 12)


def no_stage_threads() -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith(("stage ", "source ", "reader "))]


def test_leaving_the_loop_ends_the_work(clip: Path) -> None:
    steps = video.flow(clip, estimator="dis")
    next(steps)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert no_stage_threads()


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", scene_frames(60))
    (tmp_path / "user.py").write_text(
        "import os, signal\nfrom raftline import video\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "def stop(done, of):\n    if done > 5: os.kill(os.getpid(), signal.SIGINT)\n"
        "video.stabilize('clip.mp4', 'steady.mp4', estimator='dis', on_progress=stop)\n"
    )
    done = subprocess.run(
        [sys.executable, "user.py"], cwd=tmp_path, capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode != 0 and "KeyboardInterrupt" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "user.py"]


BAD_FRAMES = {
    "float": (np.zeros((64, 64, 3), np.float32), "float32", "floating point"),
    "grey": (np.zeros((64, 64), np.uint8), r"\(64, 64\)", "grey"),
    "channels first": (np.zeros((3, 64, 64), np.uint8), r"\(3, 64, 64\)", "channels first"),
    "empty": (np.zeros((0, 64, 3), np.uint8), r"\(0, 64, 3\)", ""),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
def test_a_frame_that_is_none_is_refused_saying_what_was_found(kind: str) -> None:
    bad, found, allowed = BAD_FRAMES[kind]
    with pytest.raises(InputError, match=f"frame 1: expected uint8 .*{found}.*{allowed}"):
        list(video.flow([np.zeros((64, 64, 3), np.uint8), bad], estimator="dis"))
    assert no_stage_threads()


def test_frames_of_different_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"frame 1: found \(32, 64, 3\), but frame 0 has \(64, 64, 3\)"):
        list(video.flow([np.zeros((64, 64, 3), np.uint8), np.zeros((32, 64, 3), np.uint8)], estimator="dis"))


def test_what_a_generator_raises_comes_out_as_it_is() -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from scene_frames(3)
        raise ZeroDivisionError("the camera caught fire")

    with pytest.raises(ZeroDivisionError, match="the camera caught fire"):
        list(video.flow(frames(), estimator="dis"))
    assert no_stage_threads()


def test_a_file_that_is_not_there_is_said_at_once() -> None:
    with pytest.raises(InputError, match=r"no-such\.mp4.*no such file"):
        video.flow("no-such.mp4")


def test_a_gpu_that_is_not_there_is_said(clip: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ConfigError, match=r"cuda.*cpu"):
        list(video.flow(clip, device="cuda"))


def test_weights_that_are_not_there_are_said(clip: Path) -> None:
    with pytest.raises(UserError, match=r"no-such\.pth.*no such file"):
        list(video.flow(clip, weights="no-such.pth"))


def test_an_option_that_there_is_not_is_refused_with_the_nearest(clip: Path) -> None:
    with pytest.raises(TypeError, match=r"video\.flow\(\) has no option 'iteration'; did you mean 'iterations'"):
        video.flow(clip, iteration=3)


def test_an_option_out_of_its_range_is_refused_at_once(clip: Path) -> None:
    with pytest.raises(ConfigError, match="iterations: found 0"):
        video.flow(clip, iterations=0)


@pytest.mark.parametrize("given", [None, 7, b"clip.mp4"])
def test_what_is_no_video_is_a_type_error(given: object) -> None:
    with pytest.raises(TypeError, match="expected a path, a URL, or an iterable"):
        video.flow(given)  # type: ignore[arg-type]


def test_an_output_that_is_no_mp4_or_cannot_be_written_is_said(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"steady\.avi' must end in \.mp4"):
        video.stabilize(clip, tmp_path / "steady.avi", estimator="dis")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write"):
        video.stabilize(clip, tmp_path / "file" / "steady.mp4", estimator="dis")
