"""A camera path in other tools' formats, read back: the rotation of a rendered clip, exact times, ffmpeg's vid.stab."""

from __future__ import annotations

import itertools
import json
import subprocess
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from raftline.stabilize.export.camera_steps import CameraStep, read_steps
from raftline.stabilize.export.gcsv import gcsv
from raftline.stabilize.export.plain import plain
from raftline.stabilize.export.rotation import camera_rotation, focal_px, rotation_matrix, rotation_vector
from raftline.stabilize.export.trf import trf

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
K = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])
TIMES = [Fraction(1001 * number, 30000) + (Fraction(1, 90000) if number % 3 else 0) for number in range(40)]


def orientations() -> list[np.ndarray]:
    """(3, 3) each: camera to world, shaken about all axes by some degrees."""
    angles = np.cumsum(np.random.default_rng(0).normal(0, 0.008, (len(TIMES), 3)), axis=0)
    return [rotation_matrix(angle) for angle in angles]


def path_lines(similar: bool = False) -> list[str]:
    """A path as stabilization writes it, of a camera that turns; `similar`: by similarities fitted to the motion."""
    lines, poses = [], orientations()
    for number, pose in enumerate(poses):
        before = poses[max(0, number - 1)]
        camera = K @ pose.T @ before @ np.linalg.inv(K)
        camera = similarity(camera) if similar else camera / camera[2, 2]
        values = {
            "index": number, "pts_seconds": round(float(TIMES[number]), 9), "width": WIDTH, "height": HEIGHT,
            "camera": camera.ravel().tolist(), "model": "homography", "confidence": 1.0, "starts_path": number == 0,
            "revised": [],
        }  # fmt: skip
        lines.append(json.dumps(values))
    return lines


def similarity(camera: np.ndarray) -> np.ndarray:
    """The one that moves the frame's points most like `camera`."""
    points = np.stack(np.meshgrid(np.arange(0.0, WIDTH, 16), np.arange(0.0, HEIGHT, 16)), axis=-1).reshape(-1, 2)
    moved = cv2.perspectiveTransform(points[:, None], camera)[:, 0]
    (x, y), one, none = points.T, np.ones(len(points)), np.zeros(len(points))
    rows = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    a, b, right, down = np.linalg.lstsq(rows, moved.T.ravel(), rcond=None)[0]
    return np.array([[a, -b, right], [b, a, down], [0, 0, 1]])


@pytest.fixture
def steps(tmp_path: Path) -> list[CameraStep]:
    (tmp_path / "clip.path.jsonl").write_text("\n".join(path_lines()) + "\n")
    return read_steps(tmp_path / "clip.path.jsonl")


@pytest.mark.parametrize("similar", [False, True])
def test_the_rotation_of_a_known_camera_is_read_back_from_gcsv(similar: bool, tmp_path: Path) -> None:
    (tmp_path / "clip.path.jsonl").write_text("\n".join(path_lines(similar)))
    steps = read_steps(tmp_path / "clip.path.jsonl")
    head, _, rows = gcsv(steps, FOCAL, "clip.mp4", "given").partition("t,gx,gy,gz\n")
    assert head.splitlines()[:2] == ["GYROFLOW IMU LOG", "version,1.3"]
    assert {"orientation,XYZ", "tscale,0.000000001", "gscale,1.0", "videofilename,clip.mp4"} <= set(head.splitlines())
    samples = np.array([[float(value) for value in row.split(",")] for row in rows.splitlines()])
    poses = orientations()
    turned, gyroflow = poses[0], np.array([1, -1, -1])
    for (before, now), rate in zip(zip(samples[:-1, 0], samples[1:, 0], strict=True), samples[1:, 1:], strict=True):
        turned = turned @ rotation_matrix(gyroflow * rate * (now - before) * 1e-9)
    error = np.linalg.norm(rotation_vector(turned.T @ poses[-1]))
    assert error < 0.02 * np.linalg.norm(rotation_vector(poses[0].T @ poses[-1]))
    assert [int(row.split(",")[0]) for row in rows.splitlines()] == [round(t * 10**9) for t in TIMES]


def test_a_pan_to_the_right_turns_about_y_and_moves_the_image_to_the_left() -> None:
    camera = np.array([[1.0, 0, -3], [0, 1, 0], [0, 0, 1]])
    turn = camera_rotation(camera, WIDTH, HEIGHT, FOCAL)
    # A turn moves the edges more than the middle: a shift of all by 3 px is one of less than that in the middle.
    assert 0.8 * 3 / FOCAL < turn[1] < 3 / FOCAL
    assert np.abs(turn[[0, 2]]).max() < 1e-4


def test_a_field_of_view_gives_the_focal_length() -> None:
    assert focal_px(1920, 90) == pytest.approx(960)
    with pytest.raises(ValueError, match="field of view: expected 1 to less than 180 degrees, found 180"):
        focal_px(1920, 180)


def test_plain_json_has_the_times_as_they_are_and_the_rotation(steps: list[CameraStep]) -> None:
    content = json.loads(plain(steps, FOCAL, "given"))
    assert [frame["pts_seconds"] for frame in content["frames"]] == [round(float(t), 9) for t in TIMES]
    poses = orientations()
    known = np.array([rotation_vector(a.T @ b) for a, b in itertools.pairwise(poses)])
    found = np.array([frame["rotation_rad"] for frame in content["frames"][1:]])
    assert np.abs(found - known).max() < 0.02 * np.abs(known).max()


def test_what_was_revised_later_counts(tmp_path: Path) -> None:
    lines = path_lines()
    last = json.loads(lines[-1])
    lines[-1] = json.dumps({**last, "revised": [[3, 2.0, -1.0]]})
    path = tmp_path / "a.path.jsonl"
    path.write_text("\n".join(lines))
    revised, plainly = read_steps(path)[3].camera, np.array(json.loads(lines[3])["camera"]).reshape(3, 3)
    assert (revised - plainly)[:2, 2] == pytest.approx([2.0, -1.0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a frame a line, found none"),
        ('{"label": "person"}\n', r"line 1: expected a frame of a camera path, .*KeyError: 'pts_seconds'"),
        ("no json\n", "line 1: expected a frame of a camera path"),
    ],
)
def test_what_is_no_path_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_steps(tmp_path / "x.jsonl")


def test_vidstab_removes_the_shake_by_the_trf(tmp_path: Path, steps: list[CameraStep]) -> None:
    texture = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (600, 700), np.uint8), (0, 0), 4)
    texture = cv2.normalize(texture, np.empty_like(texture), 0, 255, cv2.NORM_MINMAX)
    to_texture, frames, placed = np.array([[1.0, 0, 190], [0, 1, 180], [0, 0, 1]]), [], np.eye(3)
    for step in steps:
        placed = step.camera @ placed
        matrix = placed @ np.linalg.inv(to_texture)
        frames.append(cv2.warpPerspective(texture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR))
    (tmp_path / "clip.trf").write_text(trf(steps))
    still = through_vidstab(np.stack(frames), tmp_path / "clip.trf")
    before, after = shake(frames), shake(list(still))
    assert after < before / 4, (before, after)


def through_vidstab(frames: np.ndarray, file: Path) -> np.ndarray:
    """(N, H, W) uint8 -> the same, by ffmpeg, as if the camera stood still."""
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{WIDTH}x{HEIGHT}", "-r", "30"]
    transform = f"format=yuv420p,vidstabtransform=input={file}:smoothing=0:optzoom=0:interpol=bicubic,format=gray"
    command = ["ffmpeg", "-v", "error", *raw, "-i", "-", "-vf", transform, *raw[:4], "-"]
    done = subprocess.run(command, input=frames.tobytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return np.frombuffer(done.stdout, np.uint8).reshape(-1, HEIGHT, WIDTH)


def shake(frames: list[np.ndarray]) -> float:
    """Mean shift of the middle from frame to frame, px."""
    middles = [np.ascontiguousarray(frame[60:180, 80:240], np.float32) for frame in frames]
    pairs = itertools.pairwise(middles)
    return float(np.mean([np.linalg.norm(cv2.phaseCorrelate(one, two)[0]) for one, two in pairs]))
