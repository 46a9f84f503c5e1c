"""Real frames without known flow, three in a row, for which a teacher estimates it.

    python -m raftline.training.frame_clips frames.safetensors VIDEO [VIDEO ...]

packs runs of three frames of videos into one file for the machine that trains. Of three runs, one has consecutive
frames, one skips one frame between its own, and one skips two, for motions as long as a slow camera's.
"""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from raftline.synthetic.clip_batch import ClipBatch
from raftline.synthetic.photographs import TexturesError, bounded, decode, read_packed, write_packed

RUN = 3
"""Frames in a row: two pairs, of which the second can start warm."""
_RUNS_PER_VIDEO = 36
"""So that a long video does not outweigh others. Chosen by hand."""
_STRIDES = 1, 2, 3
"""Steps in a video between the frames of a run, in turn."""
_LONGEST_SIDE_PX = 640
"""Larger than the crops trained on, so that there is room to scale. Chosen by hand."""
Image = npt.NDArray[np.uint8]


class FrameClips:
    """Crops of packed runs, at a random scale, mirrored and reversed at random. No flow is known.

    Raises:
        TexturesError: not a packed file, or not of runs of three.
    """

    def __init__(self, source: Path, size: tuple[int, int], seed: int) -> None:
        self._jpegs = read_packed(source)
        if len(self._jpegs) % RUN:
            raise TexturesError(f"frames {source}: {len(self._jpegs)} images, expected runs of {RUN}; see frame_clips")
        self._source = source
        self._size = size
        self._seed = seed

    def batch(self, numbers: Sequence[int]) -> ClipBatch:
        """The clips of these numbers, each a function of the seed and its number, on the CPU."""
        clips = [self._clip(number) for number in numbers]
        frames = torch.stack([torch.from_numpy(frames) for frames, _ in clips]).permute(0, 1, 4, 2, 3).float()
        shape = (len(clips), RUN - 1, *self._size)
        flows = torch.zeros(*shape[:2], 2, *self._size)
        return ClipBatch(frames, flows, torch.zeros(shape, dtype=torch.bool), None, tuple(name for _, name in clips))

    def _clip(self, number: int) -> tuple[Image, str]:
        random = np.random.Generator(np.random.PCG64([self._seed, 3, number]))
        run = int(random.integers(len(self._jpegs) // RUN))
        name = f"{self._source} run {run}"
        frames = np.stack([decode(jpeg, name) for jpeg in self._jpegs[RUN * run : RUN * (run + 1)]])
        least = max(self._size[0] / frames.shape[1], self._size[1] / frames.shape[2])
        scale = max(least, 2.0 ** random.uniform(-1.2, 0.2))
        height, width = (max(side, round(scale * was)) for side, was in zip(self._size, frames.shape[1:3], strict=True))
        y, x = int(random.integers(height - self._size[0] + 1)), int(random.integers(width - self._size[1] + 1))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        scaled = np.stack([cv2.resize(frame, (width, height), interpolation=way) for frame in frames])
        clip = scaled[:, y : y + self._size[0], x : x + self._size[1]]
        if random.random() < 0.5:
            clip = clip[:, :, ::-1]
        if random.random() < 0.5:
            clip = clip[::-1]
        return np.ascontiguousarray(clip).astype(np.uint8, copy=False), name


def pack_videos(videos: Sequence[Path], target: Path) -> int:
    """Runs of three frames, spread over each video. Returns how many runs. Raises TexturesError: an unreadable one."""
    return write_packed((frame for video in videos for frame in _frames_of(video)), target) // RUN


def _frames_of(video: Path) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(video))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if count < RUN:
        raise TexturesError(f"video {video}: cannot be read, or has fewer than {RUN} frames")
    longest = 1 + (RUN - 1) * max(_STRIDES)
    begins = np.unique(np.linspace(0, max(0, count - longest), _RUNS_PER_VIDEO).astype(int))
    runs = [[int(begin) + offset * _stride(n, count) for offset in range(RUN)] for n, begin in enumerate(begins)]
    wanted = set(itertools.chain.from_iterable(runs))
    read: dict[int, Image] = {}
    for number in range(max(wanted) + 1):
        found, frame = capture.read()
        if not found:
            break
        if number in wanted:
            read[number] = bounded(_as_rgb(frame), _LONGEST_SIDE_PX)
    capture.release()
    for run in runs:
        if all(number in read for number in run):
            yield from (read[number] for number in run)


def _stride(run: int, count: int) -> int:
    """In frames."""
    return min(_STRIDES[run % len(_STRIDES)], (count - 1) // (RUN - 1))


def _as_rgb(frame: npt.NDArray[np.generic]) -> Image:
    return np.ascontiguousarray(np.asarray(frame, np.uint8)[:, :, ::-1])


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    packed = pack_videos([Path(video) for video in sys.argv[2:]], Path(sys.argv[1]))
    print(f"{packed} runs of {RUN} frames in {sys.argv[1]}")
