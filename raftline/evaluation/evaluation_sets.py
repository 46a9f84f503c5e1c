"""Runs of pairs with known flow, to measure estimators on: from disk, synthetic, or still and compressed."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from raftline.evaluation.datasets import FlowDataset, FlowScene, open_dataset, read_image, read_occlusions, read_truth
from raftline.raft.padding import PaddingMode
from raftline.synthetic.clips import SyntheticClips, SyntheticOptions
from raftline.synthetic.photographs import read_photographs

Image = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
Codec = Callable[[Iterator[Image], int], list[Image]]
"""Sends the frames of a video through a real encoder and back: (frames, bits per second) -> as many frames."""

_SYNTHETIC_SIZE = (256, 384)
"""Height and width, px. Chosen by hand: room for large motion, quick on a CPU."""
_SYNTHETIC_SEED = 20_260_000
"""Far from the seeds of training and of its validation, so that no clip is one that was learnt from."""
_STILL_SIZE = (360, 640)
"""A camera's second stream."""
_STILL_PHOTOGRAPHS = 4
_STILL_FRAMES = 16
"""Both chosen by hand, so that a measurement takes a minute: 60 pairs."""
_STILL_NOISE = 5.0
"""Standard deviation, grey levels: a camera at dusk. Chosen by hand."""
_STILL_BITS_PER_SECOND = 500_000
"""Chosen by hand: low enough that the encoder's blocks are seen."""


class MeasuredPair(NamedTuple):
    """Two frames and the known flow between them."""

    name: str
    image1: Image
    """The same object as the last pair's image2 if the run is consecutive."""
    image2: Image
    truths_px: dict[str, Flow]
    """Scene name in the table -> (H, W, 2) px, NaN where unknown."""
    hidden: npt.NDArray[np.bool_] | None
    """(H, W): not visible in image2; None where unknown."""


class Run(NamedTuple):
    """Pairs in order. If `consecutive`, each starts with the frame that ended the last one."""

    consecutive: bool
    pairs: Iterator[MeasuredPair]


class EvaluationSet(Protocol):
    """Runs, and the protocol by which they are scored."""

    name: str
    padding: PaddingMode
    iterations: int
    average_over_images: bool

    def __len__(self) -> int:
        """How many scores there will be."""
        ...

    def runs(self) -> Iterator[Run]:
        """Give each run once. Its pairs are read or made on the way."""
        ...


def open_evaluation_set(argument: str, codec: Codec | None = None) -> EvaluationSet:
    """Open what pairs come from.

    Args:
        argument: `name:folder` of a data set on disk, `synthetic:CLIPS`, `synthetic:CLIPS:PHOTOGRAPHS` or
            `still:PHOTOGRAPHS`.
        codec: how `still` sets compress their frames. The library brings none.

    Raises:
        ValueError: DatasetError, TexturesError, a number of clips that is none, or `still` without a codec.
    """
    name, _, rest = argument.partition(":")
    if name == "synthetic":
        count, _, textures = rest.partition(":")
        if not count.isdigit() or int(count) < 1:
            raise ValueError(f"data set {argument!r}: expected a number of clips, such as synthetic:64")
        return SyntheticSet(int(count), Path(textures).expanduser() if textures else None)
    if name == "still" and rest:
        if codec is None:
            raise ValueError(f"data set {argument!r}: compressed frames need a codec, and none was given")
        return StillSet(Path(rest).expanduser(), codec)
    return FileSet(open_dataset(argument))


class FileSet:
    """A data set on disk."""

    def __init__(self, dataset: FlowDataset) -> None:
        self._scenes = dataset.scenes
        self.name = dataset.name
        self.padding: PaddingMode = dataset.padding
        self.iterations = dataset.iterations
        self.average_over_images = dataset.average_over_images

    def __len__(self) -> int:
        return sum(len(pair.truths) for scene in self._scenes for pair in scene.pairs)

    def runs(self) -> Iterator[Run]:
        """A scene each."""
        for scene in self._scenes:
            yield Run(scene.consecutive, self._pairs(scene))

    def _pairs(self, scene: FlowScene) -> Iterator[MeasuredPair]:
        last: tuple[Path, Image] | None = None
        for pair in scene.pairs:
            image1 = last[1] if last is not None and last[0] == pair.image1 else read_image(pair.image1)
            image2 = read_image(pair.image2)
            last = (pair.image2, image2)
            truths = {kind or scene.name: read_truth(path) for kind, path in pair.truths.items()}
            hidden = None if pair.occlusions is None else read_occlusions(pair.occlusions)
            if {"occ", "noc"} <= truths.keys():
                hidden = ~np.isfinite(truths["noc"][..., 0])
            yield MeasuredPair(pair.name, image1, image2, truths, hidden)


class SyntheticSet:
    """ClipBatch of three frames with a fixed seed: the same for everyone who has the same photographs, or none."""

    name = "synthetic"
    padding: PaddingMode = "centred"
    iterations = 20
    average_over_images = False

    def __init__(self, clips: int, textures: Path | None = None) -> None:
        height, width = _SYNTHETIC_SIZE
        self._clips = SyntheticClips(SyntheticOptions(height, width, textures), _SYNTHETIC_SEED)
        self._count = clips

    def __len__(self) -> int:
        return 2 * self._count

    def runs(self) -> Iterator[Run]:
        """A clip each: two pairs in a row."""
        for number in range(self._count):
            yield Run(True, self._pairs(number))

    def _pairs(self, number: int) -> Iterator[MeasuredPair]:
        clip = self._clips.batch([number])
        assert clip.visible is not None
        frames = [frame.permute(1, 2, 0).contiguous().numpy().astype(np.uint8) for frame in clip.frames[0]]
        for place in range(2):
            truth_px = clip.flows[0, place].permute(1, 2, 0).contiguous().numpy()
            scene = "moving" if np.abs(truth_px).max() > 0 else "still"
            hidden = ~clip.visible[0, place].numpy()
            yield MeasuredPair(f"{number}.{place}", frames[place], frames[place + 1], {scene: truth_px}, hidden)


class StillSet:
    """Photographs as a fixed camera would send them: noise of sigma 5, 500 kb/s. The flow is 0."""

    name = "still"
    padding: PaddingMode = "centred"
    iterations = 20
    average_over_images = False

    def __init__(self, photographs: Path, codec: Codec) -> None:
        self._codec = codec
        self._photographs = [
            _cropped(photograph, _STILL_SIZE)
            for photograph in itertools.islice(read_photographs(photographs), _STILL_PHOTOGRAPHS)
        ]

    def __len__(self) -> int:
        return len(self._photographs) * (_STILL_FRAMES - 1)

    def runs(self) -> Iterator[Run]:
        """A photograph each."""
        for number, photograph in enumerate(self._photographs):
            yield Run(True, self._pairs(number, photograph))

    def _pairs(self, number: int, photograph: Image) -> Iterator[MeasuredPair]:
        frames = self._codec(noisy_frames(photograph, _STILL_FRAMES, _STILL_NOISE, seed=number), _STILL_BITS_PER_SECOND)
        truth = {"sigma 5, 500 kb/s": np.zeros((*photograph.shape[:2], 2), np.float32)}
        for place, (image1, image2) in enumerate(itertools.pairwise(frames)):
            yield MeasuredPair(f"{number}.{place}", image1, image2, truth, None)


def noisy_frames(photograph: Image, count: int, noise: float, seed: int) -> Iterator[Image]:
    """The (H, W, 3) uint8 photograph `count` times, each with white noise of its own (standard deviation `noise`)."""
    random = np.random.Generator(np.random.PCG64([seed, 0x571]))
    for _ in range(count):
        grains = random.normal(0, noise, photograph.shape)
        yield np.clip(np.rint(photograph + grains), 0, 255).astype(np.uint8)


def _cropped(image: Image, size: tuple[int, int]) -> Image:
    """Scale and crop to `size` (height, width) around the center."""
    scale = max(size[0] / image.shape[0], size[1] / image.shape[1])
    wide = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    top, left = (wide.shape[0] - size[0]) // 2, (wide.shape[1] - size[1]) // 2
    return np.ascontiguousarray(wide[top : top + size[0], left : left + size[1]]).astype(np.uint8, copy=False)
