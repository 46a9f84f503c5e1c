"""Consecutive frames of a real clip, and pairs whose flow is known, for the measurements of flow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.data import data_folder, needed_data
from raftline.evaluation.datasets import open_dataset, read_image, read_truth

Image = npt.NDArray[np.uint8]
CLIP = "video/shaky/cockatoo.mp4"
DATASETS = ("middlebury", "sintel", "chairs", "kitti")


def authors_weights() -> str | None:
    """The authors' RAFT-small, where the test data is."""
    folder = data_folder()
    path = None if folder is None else folder / "weights" / "raft-small.pth"
    return str(path) if path is not None and path.is_file() else None


def consecutive_frames(width: int, height: int, count: int) -> tuple[list[Image], str]:
    """RGB frames, scaled to cover width x height and cropped; and what they are.

    Without the data folder they are windows of one random texture, seen from a moving camera: as much work, another
    image.
    """
    folder = data_folder()
    if folder is None or not (folder / CLIP).is_file():
        noise = np.random.default_rng(0).integers(0, 256, (height + 8 * count, width + 8 * count, 3), dtype=np.uint8)
        texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), np.empty_like(noise), 0, 255, cv2.NORM_MINMAX)
        views = [texture[5 * n : 5 * n + height, 8 * n : 8 * n + width] for n in range(count)]
        return [np.ascontiguousarray(view, np.uint8) for view in views], "a random texture moving by (-8, -5) px"
    capture = cv2.VideoCapture(str(folder / CLIP))
    frames = []
    while len(frames) < count:
        read, frame = capture.read()
        if not read:
            raise SystemExit(f"{folder / CLIP}: {count} frames expected, {len(frames)} found")
        frames.append(_covering(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8), width, height))
    return frames, f"{CLIP}, the first {count} frames, scaled and cropped"


def _covering(frame: Image, width: int, height: int) -> Image:
    scale = max(width / frame.shape[1], height / frame.shape[0])
    size = (max(width, round(frame.shape[1] * scale)), max(height, round(frame.shape[0] * scale)))
    scaled = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width], np.uint8)


@dataclass(frozen=True)
class KnownPair:
    """Two images and how every pixel of the first moved."""

    name: str
    image1: Image
    image2: Image
    truth_px: npt.NDArray[np.float32]
    """(H, W, 2); NaN where it is not known."""

    def epe_px(self, flow_px: npt.NDArray[np.float32]) -> float:
        """Mean distance to the truth, where it is known."""
        return float(np.nanmean(np.linalg.norm(flow_px - self.truth_px, axis=2)))


def known_pairs() -> Iterator[KnownPair]:
    """All ground truth that is in the data folder; KITTI's with occlusions."""
    folder = needed_data()
    for name in (name for name in DATASETS if (folder / "flow" / name).is_dir()):
        dataset = open_dataset(f"{name}:{folder / 'flow' / name}")
        for scene in dataset.scenes:
            for pair in scene.pairs:
                truth = read_truth(pair.truths.get("occ") or pair.truths[""])
                label = "/".join(part for part in (name, scene.name, pair.name) if part and part != "all")
                yield KnownPair(label, read_image(pair.image1), read_image(pair.image2), truth)
