"""Other stabilizers on the same frames: ffmpeg's filters, and scripts with OpenCV."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

_SIGMA_FRAMES = 10
"""Of a Gaussian over 30 frames to either side, as vidstab with smoothing=30."""
_SCRIPT_ZOOM = 1.08
"""Of the scripts, which do not look for one: hides most borders."""
Warp = Callable[[np.ndarray, np.ndarray], np.ndarray]


def ffmpeg_deshake(lumas: np.ndarray, markers: np.ndarray, fps: float) -> np.ndarray:
    return _filtered(lumas, markers, fps, "deshake")


def ffmpeg_vidstab(lumas: np.ndarray, markers: np.ndarray, fps: float) -> np.ndarray:
    return _vidstab(lumas, markers, fps, "smoothing=30")


def ffmpeg_vidstab_tripod(lumas: np.ndarray, markers: np.ndarray, fps: float) -> np.ndarray:
    return _vidstab(lumas, markers, fps, "tripod=1", ":tripod=1")


def klt_script(lumas: np.ndarray, markers: np.ndarray, fps: float) -> np.ndarray:
    """Stabilize as common scripts do: corners tracked by KLT, a similarity by RANSAC, the path through a Gaussian."""
    return _script(lumas, markers, fps, _klt_motion)


def dis_script(lumas: np.ndarray, markers: np.ndarray, fps: float) -> np.ndarray:
    """Stabilize by the same script, with a similarity fitted to DIS flow on a grid."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def motion(before: np.ndarray, luma: np.ndarray) -> np.ndarray | None:
        flow = dis.calc(before, luma, None)  # type: ignore[arg-type]
        rows, columns = np.mgrid[8 : luma.shape[0] : 16, 8 : luma.shape[1] : 16]
        here = np.stack([columns, rows], axis=-1).reshape(-1, 2).astype(np.float32)
        return _similarity(here, here + flow[rows, columns].reshape(-1, 2))

    return _script(lumas, markers, fps, motion)


PEERS = {
    "ffmpeg deshake": ffmpeg_deshake,
    "ffmpeg vidstab": ffmpeg_vidstab,
    "ffmpeg vidstab tripod": ffmpeg_vidstab_tripod,
    "KLT script": klt_script,
    "DIS script": dis_script,
}
"""Functions of lumas (N, H, W), markers (N, H, W) and fps, which move the markers as they would the lumas."""


def _script(
    lumas: np.ndarray,
    markers: np.ndarray,
    fps: float,
    motion: Callable[[np.ndarray, np.ndarray], np.ndarray | None],
) -> np.ndarray:
    steps = np.zeros((len(lumas), 4))
    for at in range(1, len(lumas)):
        found = motion(lumas[at - 1], lumas[at])
        if found is not None:
            steps[at] = _to_pose(found, lumas.shape[1:])
    path = np.cumsum(steps, axis=0)
    correction = _gaussian(path, _SIGMA_FRAMES) - path
    return np.stack([_moved(marker, step) for marker, step in zip(markers, correction, strict=True)])


def _klt_motion(before: np.ndarray, luma: np.ndarray) -> np.ndarray | None:
    here = cv2.goodFeaturesToTrack(before, 200, 0.01, 30, blockSize=3)
    if here is None:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, luma, here, None)  # type: ignore[arg-type]
    good = found.ravel() > 0
    return _similarity(here[good], there[good])


def _similarity(here: np.ndarray, there: np.ndarray) -> np.ndarray | None:
    if len(here) < 3:
        return None
    return cv2.estimateAffinePartial2D(here, there)[0]


def _to_pose(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return x px, y px, angle and logarithm of the scale, about the frame's centre."""
    centre = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    return np.array([*shift, np.arctan2(matrix[1, 0], matrix[0, 0]), np.log(np.hypot(matrix[0, 0], matrix[1, 0]))])


def _moved(image: np.ndarray, pose: np.ndarray) -> np.ndarray:
    height, width = image.shape
    scale = _SCRIPT_ZOOM * np.exp(pose[3])
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, -float(np.rad2deg(pose[2])), float(scale))
    matrix[:, 2] += pose[:2] * _SCRIPT_ZOOM
    return cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _gaussian(path: np.ndarray, sigma: float) -> np.ndarray:
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="edge")
    return np.stack([np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T], axis=1)


def _vidstab(lumas: np.ndarray, markers: np.ndarray, fps: float, how: str, detect: str = "") -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        transforms = Path(folder) / "transforms.trf"
        _filtered(lumas, markers, fps, f"vidstabdetect=shakiness=10:accuracy=15:result={transforms}{detect}")
        return _filtered(lumas, markers, fps, f"vidstabtransform=input={transforms}:{how}")


def _filtered(lumas: np.ndarray, markers: np.ndarray, fps: float, filters: str) -> np.ndarray:
    """Run ffmpeg on 4:4:4: its filters look at the luma, and the markers travel as the first chroma plane."""
    count, height, width = lumas.shape
    neutral = np.full_like(lumas, 128)
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv444p", "-s", f"{width}x{height}", "-r", f"{fps:g}")
    done = subprocess.run(
        ["ffmpeg", "-v", "error", *raw, "-i", "-", "-vf", filters, *raw, "-"],
        input=np.stack([lumas, markers, neutral], axis=1).tobytes(),
        capture_output=True,
        check=True,
    )
    planes = np.frombuffer(done.stdout, np.uint8).reshape(-1, 3, height, width)
    if len(planes) != count:
        raise RuntimeError(f"ffmpeg -vf {filters} gave {len(planes)} frames of {count}")
    return planes[:, 1]
