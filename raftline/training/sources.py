"""The clips of a step: made on the fly, read from disk, or both."""

from collections.abc import Iterator

import torch

from raftline.synthetic.clip_batch import ClipBatch
from raftline.synthetic.clips import SyntheticClips, SyntheticOptions
from raftline.training.file_clips import FileClips
from raftline.training.frame_clips import FrameClips
from raftline.training.options import TrainOptions


class Sources:
    """The clips of each step and process, a function of seed, step and process number.

    Raises:
        ValueError: data that are missing or not laid out as expected (TexturesError, DatasetError).
    """

    def __init__(self, options: TrainOptions, device: torch.device, rank: int, count: int) -> None:
        self._rank = rank
        self._count = count
        self._device = device
        self._synthetic = synthetic_clips(options, device) if options.synthetic.clips else None
        self._synthetic_size = options.synthetic.clips
        self._repeat = options.synthetic.repeat
        self._files_size = options.files.pairs
        self._frames_size = options.frames.clips
        size = (options.height, options.width)
        self._frames = None
        if options.frames.clips and options.frames.source is not None:
            self._frames = FrameClips(options.frames.source, size, options.seed)
        self._files = None
        if options.files.pairs:
            files = options.files
            self._files = FileClips(files.sets, size, files.augmentation, options.seed, files.workers)

    @property
    def clips_per_step(self) -> int:
        """Clips of all processes together."""
        return (self._synthetic_size + self._files_size + self._frames_size) * self._count

    @property
    def batches_per_step(self) -> int:
        """Batches of each process: one for each kind of clips."""
        return sum(kind is not None for kind in (self._synthetic, self._frames, self._files))

    def batches(self, step: int) -> Iterator[ClipBatch]:
        """Make one batch of each kind, and start to read the files of the next step."""
        if self._synthetic is not None:
            numbers = self._numbers(step, self._synthetic_size)
            yield self._synthetic.batch([number % self._repeat for number in numbers] if self._repeat else numbers)
        if self._frames is not None:
            yield self._frames.batch(self._numbers(step, self._frames_size)).to(self._device)
        if self._files is not None:
            clips = self._files.batch(self._numbers(step, self._files_size)).to(self._device)
            self._files.read_ahead(self._numbers(step + 1, self._files_size))
            yield clips

    def validation(self, options: TrainOptions) -> SyntheticClips:
        """Make clips that are not trained on, from the same textures."""
        clips = self._synthetic or synthetic_clips(options, self._device)
        return clips.with_seed(options.validation.seed)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._files is not None:
            self._files.close()

    def _numbers(self, step: int, size: int) -> range:
        begin = (step * self._count + self._rank) * size
        return range(begin, begin + size)


def synthetic_clips(options: TrainOptions, device: torch.device) -> SyntheticClips:
    """Open the run's synthetic data set."""
    wanted = options.synthetic
    return SyntheticClips(
        SyntheticOptions(
            options.height, options.width, wanted.textures, wanted.tile_px, wanted.scenes, wanted.degradations
        ),
        options.seed,
        device,
    )
