"""Pairs of data sets on disk as clips of two frames: shuffled, augmented, read ahead by threads."""

import functools
import re
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.evaluation.datasets import DatasetError, FlowPair, open_dataset, read_image, read_truth
from raftline.synthetic.clip_batch import ClipBatch
from raftline.training.augmentation import Pair, augment
from raftline.training.options import AugmentationOptions


class FileClips:
    """Pairs in a new order each epoch. Everything random depends only on the seed and the clip's number.

    Args:
        sets: `name:folder`, or `name:folder*N`, see `FileData`.
        size: (height, width) of the crops.

    Raises:
        DatasetError: see `open_dataset`.
    """

    def __init__(
        self, sets: Sequence[str], size: tuple[int, int], options: AugmentationOptions, seed: int, workers: int
    ) -> None:
        self._size = size
        self._options = options
        self._seed = seed
        self._pairs: list[tuple[FlowPair, bool]] = []
        for entry in sets:
            match = re.fullmatch(r"(.+?)(?:\*(\d+))?", entry)
            assert match is not None
            dataset = open_dataset(match[1], "training")
            pairs = [(pair, dataset.sparse) for scene in dataset.scenes for pair in scene.pairs]
            self._pairs += pairs * int(match[2] or 1)
        if not self._pairs:
            raise DatasetError(f"data sets {', '.join(sets)}: no pair to train on")
        self._pool = ThreadPoolExecutor(max(1, workers), "pairs")
        self._ahead: dict[int, Future[Pair]] = {}
        self._order = functools.lru_cache(maxsize=2)(self._draw_order)

    def __len__(self) -> int:
        return len(self._pairs)

    def read_ahead(self, numbers: Sequence[int]) -> None:
        """Start to read the clips of the next `batch`."""
        for number in numbers:
            if number not in self._ahead:
                self._ahead[number] = self._pool.submit(self._read, number)

    def batch(self, numbers: Sequence[int]) -> ClipBatch:
        """Read the clips of these numbers, on the CPU.

        Raises:
            DatasetError, FlowFileError: a file that is missing or damaged, named.
        """
        self.read_ahead(numbers)
        pairs = [self._ahead.pop(number).result() for number in numbers]
        frames = torch.stack([torch.stack([_planes(pair.image1), _planes(pair.image2)]) for pair in pairs])
        flows = torch.stack([torch.from_numpy(pair.flow_px).permute(2, 0, 1) for pair in pairs])[:, None]
        valid = torch.stack([torch.from_numpy(pair.valid) for pair in pairs])[:, None]
        names = tuple(str(self._entry(number)[0].image1) for number in numbers)
        return ClipBatch(frames, flows.contiguous(), valid, None, names)

    def close(self) -> None:
        """End the threads and drop what they were reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _entry(self, number: int) -> tuple[FlowPair, bool]:
        epoch, place = divmod(number, len(self._pairs))
        return self._pairs[self._order(epoch)[place]]

    def _draw_order(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.Generator(np.random.PCG64([self._seed, epoch])).permutation(len(self._pairs))

    def _read(self, number: int) -> Pair:
        entry, sparse = self._entry(number)
        image1, image2 = read_image(entry.image1), read_image(entry.image2)
        truth = read_truth(next(iter(entry.truths.values())))
        if not image1.shape[:2] == image2.shape[:2] == truth.shape[:2]:
            raise DatasetError(
                f"pair {entry.image1}: the images are {image1.shape[1]}x{image1.shape[0]} and "
                f"{image2.shape[1]}x{image2.shape[0]}, the flow {truth.shape[1]}x{truth.shape[0]}"
            )
        valid = np.isfinite(truth.sum(axis=2))
        pair = Pair(image1, image2, np.where(valid[..., None], truth, 0).astype(np.float32), valid)
        random = np.random.Generator(np.random.PCG64([self._seed, 1, number]))
        return augment(pair, self._size, self._options, random, sparse)


def _planes(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1).float()
