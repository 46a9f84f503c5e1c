"""Flow data sets in their official folder layouts.

Middlebury, MPI-Sintel, KITTI 2015, FlyingChairs, FlyingThings3D, HD1K.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from raftline.evaluation.pfm import read_pfm_flow
from raftline.flow.files import read_flow
from raftline.raft.padding import PaddingMode

Split = Literal["validation", "training"]
"""Which pairs with known flow to list. A data set without a split of its own gives the same ones for both."""


class DatasetError(ValueError):
    """A folder that is not laid out as expected; the message says what was expected and where."""


@dataclass(frozen=True)
class FlowPair:
    """Two frames and the flow between them."""

    name: str
    """The earlier frame's name within its scene."""
    image1: Path
    image2: Path
    truths: dict[str, Path]
    """Which pixels count -> flow file. One entry named "" unless the data set has several scores ("occ", "noc")."""
    occlusions: Path | None = None
    """An image that is not black where the later frame does not show what the earlier one shows."""


@dataclass(frozen=True)
class FlowScene:
    """Pairs in order. If `consecutive`, each starts with the frame that ended the last one."""

    name: str
    pairs: tuple[FlowPair, ...]
    consecutive: bool = False


@dataclass(frozen=True)
class FlowDataset:
    """A data set and the protocol by which its authors and RAFT's score it."""

    name: str
    scenes: tuple[FlowScene, ...]
    padding: PaddingMode = "centred"
    iterations: int = 20
    average_over_images: bool = False
    """KITTI averages the images' mean end-point errors; the others average over all pixels."""
    sparse: bool = False
    """The flow of few pixels is known, such as those that a laser scanner hit."""


def open_dataset(argument: str, split: Split = "validation") -> FlowDataset:
    """List the files of a data set. None is read.

    Args:
        argument: `name:folder`.
        split: which pairs, where the data set has a split.

    Raises:
        DatasetError: unknown name, no such folder, or not the official layout.
    """
    name, separator, folder = argument.partition(":")
    if not separator or name not in _OPENERS or not folder:
        allowed = ", ".join(f"{known}:DIR" for known in _OPENERS)
        raise DatasetError(f"data set {argument!r}: expected one of {allowed}")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DatasetError(f"data set {argument!r}: {root} is {'not a folder' if root.exists() else 'not there'}")
    return _chairs(root, split) if name == "chairs" else _OPENERS[name](root)


def read_image(path: Path) -> npt.NDArray[np.uint8]:
    """Read an image file.

    Returns:
        (H, W, 3) uint8 RGB. A grey image has three equal channels.

    Raises:
        DatasetError: missing or not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise DatasetError(f"image {path}: {'cannot be read' if path.exists() else 'not there'}")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8, copy=False)


def read_truth(path: Path) -> npt.NDArray[np.float32]:
    """Read a flow file: (H, W, 2) float32 px, NaN where unknown. Raises FlowFileError."""
    return read_pfm_flow(path) if path.suffix.lower() == ".pfm" else read_flow(path)


def read_occlusions(path: Path) -> npt.NDArray[np.bool_]:
    """Read which pixels the later frame does not show: (H, W) bool. Raises DatasetError."""
    return read_image(path).max(axis=2) > 0


def _middlebury(root: Path) -> FlowDataset:
    scenes = []
    for truth in sorted(root.glob("other-gt-flow/*/flow10.flo")):
        images = root / "other-data" / truth.parent.name
        pair = FlowPair("frame10", images / "frame10.png", images / "frame11.png", {"": truth})
        scenes.append(FlowScene(truth.parent.name, (pair,)))
    return _checked("middlebury", root, scenes, "other-gt-flow/SCENE/flow10.flo and other-data/SCENE/frame1{0,1}.png")


def _sintel(root: Path) -> FlowDataset:
    scenes = []
    for quality in ("clean", "final"):
        for images in sorted((root / "training" / quality).glob("*/")):
            frames = sorted(images.glob("frame_*.png"))
            truths = root / "training" / "flow" / images.name
            hidden = root / "training" / "occlusions" / images.name
            pairs = tuple(
                FlowPair(first.stem, first, second, {"": truths / f"{first.stem}.flo"}, _if_there(hidden / first.name))
                for first, second in itertools.pairwise(frames)
            )
            if pairs:
                scenes.append(FlowScene(f"{quality}/{images.name}", pairs, consecutive=True))
    layout = "training/{clean,final}/SCENE/frame_NNNN.png and training/flow/SCENE/frame_NNNN.flo"
    return _checked("sintel", root, scenes, layout)


def _kitti(root: Path) -> FlowDataset:
    training = root / "training"
    pairs = tuple(
        FlowPair(
            first.stem,
            first,
            first.with_name(first.name.replace("_10.png", "_11.png")),
            {kind: training / f"flow_{kind}" / first.name for kind in ("occ", "noc")},
        )
        for first in sorted(training.glob("image_2/*_10.png"))
    )
    layout = "training/image_2/NNNNNN_1{0,1}.png and training/flow_{occ,noc}/NNNNNN_10.png"
    scenes = [FlowScene("training", pairs)] if pairs else []
    return _checked(
        "kitti", root, scenes, layout, padding="kitti", iterations=24, average_over_images=True, sparse=True
    )


def _hd1k(root: Path) -> FlowDataset:
    """Sequences of a street; the numbers before the underscore are the sequence's."""
    frames = sorted((root / "hd1k_input" / "image_2").glob("*_*.png"))
    truths = root / "hd1k_flow_gt" / "flow_occ"
    scenes = []
    for name, of_scene in itertools.groupby(frames, lambda frame: frame.stem.partition("_")[0]):
        pairs = tuple(
            FlowPair(first.stem, first, second, {"": truths / first.name})
            for first, second in itertools.pairwise(of_scene)
        )
        if pairs:
            scenes.append(FlowScene(name, pairs, consecutive=True))
    layout = "hd1k_input/image_2/SSSSSS_NNNN.png and hd1k_flow_gt/flow_occ/SSSSSS_NNNN.png"
    return _checked("hd1k", root, scenes, layout, sparse=True)


def _things(root: Path) -> FlowDataset:
    """The left camera, forward and backward, clean and final: what the paper trains on."""
    scenes = []
    for quality in ("frames_cleanpass", "frames_finalpass"):
        for images in sorted((root / quality / "TRAIN").glob("*/*/left/")):
            frames = sorted(images.glob("*.png"))
            scene = "/".join(images.parts[-3:-1])
            for direction, ordered in (("into_future", frames), ("into_past", frames[::-1])):
                word = "IntoFuture" if direction == "into_future" else "IntoPast"
                truths = root / "optical_flow" / "TRAIN" / scene / direction / "left"
                pairs = tuple(
                    FlowPair(first.stem, first, second, {"": truths / f"OpticalFlow{word}_{first.stem}_L.pfm"})
                    for first, second in itertools.pairwise(ordered)
                )
                if pairs:
                    scenes.append(FlowScene(f"{quality}/{scene}/{direction}", pairs, consecutive=True))
    layout = (
        "frames_{clean,final}pass/TRAIN/{A,B,C}/NNNN/left/NNNN.png and "
        "optical_flow/TRAIN/{A,B,C}/NNNN/into_{future,past}/left/OpticalFlowInto{Future,Past}_NNNN_L.pfm"
    )
    return _checked("things", root, scenes, layout)


def _if_there(path: Path) -> Path | None:
    return path if path.is_file() else None


def _chairs(root: Path, wanted: Split = "validation") -> FlowDataset:
    pairs = [
        FlowPair(
            truth.name.removesuffix("_flow.flo"),
            truth.with_name(truth.name.replace("_flow.flo", "_img1.ppm")),
            truth.with_name(truth.name.replace("_flow.flo", "_img2.ppm")),
            {"": truth},
        )
        for truth in sorted(root.glob("data/*_flow.flo"))
    ]
    name = "all"
    split = root / "FlyingChairs_train_val.txt"
    if split.is_file():
        name = wanted
        pairs = _of_split(pairs, split, wanted)
    scenes = [FlowScene(name, tuple(pairs))] if pairs else []
    return _checked("chairs", root, scenes, "data/NNNNN_flow.flo and data/NNNNN_img{1,2}.ppm")


def _of_split(pairs: list[FlowPair], split: Path, wanted: Split) -> list[FlowPair]:
    """Line n of the official split file is 1 for training and 2 for validation, for pair n."""
    marks = split.read_text().split()
    if any(not pair.name.isdigit() or not 1 <= int(pair.name) <= len(marks) for pair in pairs):
        raise DatasetError(f"chairs: {split} has {len(marks)} lines, fewer than the numbers of the pairs beside it")
    mark = "2" if wanted == "validation" else "1"
    return [pair for pair in pairs if marks[int(pair.name) - 1] == mark]


def _checked(
    name: str,
    root: Path,
    scenes: list[FlowScene],
    layout: str,
    *,
    padding: PaddingMode = "centred",
    iterations: int = 20,
    average_over_images: bool = False,
    sparse: bool = False,
) -> FlowDataset:
    if not scenes:
        entries = ", ".join(sorted(entry.name for entry in root.iterdir())[:8]) or "nothing"
        raise DatasetError(f"{name}: expected {layout} under {root}; found there: {entries}")
    for scene in scenes:
        for pair in scene.pairs:
            for path in (pair.image1, pair.image2, *pair.truths.values()):
                if not path.is_file():
                    raise DatasetError(f"{name}: {path} is not there; the layout is {layout} under {root}")
    return FlowDataset(name, tuple(scenes), padding, iterations, average_over_images, sparse)


_OPENERS: dict[str, Callable[[Path], FlowDataset]] = {
    "middlebury": _middlebury,
    "sintel": _sintel,
    "kitti": _kitti,
    "chairs": _chairs,
    "things": _things,
    "hd1k": _hd1k,
}
