"""A part of a batch: which of its files one of several machines works on."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

from pipeline.errors import ConfigError
from raftline.cli.batch.files import BatchFile

_ARRAYS = (
    ("JOB_COMPLETION_INDEX", "JOB_COMPLETIONS", None),
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
)
"""Environment of a task of an array: its index, the number of tasks, and the index of the first. Kubernetes sets
JOB_COMPLETION_INDEX alone: the manifest has to give JOB_COMPLETIONS."""


@dataclass(frozen=True)
class Shard:
    """One of `count` parts of a batch that have no file in common."""

    index: int
    """0 to ``count - 1``."""
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From ``INDEX/COUNT``, or from the environment of an array's task for ``auto``.

        Raises:
            ConfigError: If it is neither, or the environment lacks what it needs.
        """
        if text == "auto":
            return cls._of_array()
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match is None or int(match[1]) >= int(match[2]):
            raise ConfigError(
                f"--shard: found {text!r}; give INDEX/COUNT with INDEX from 0 to COUNT - 1, such as 0/8, or auto for "
                "a task of a Kubernetes Indexed Job or a SLURM array"
            )
        return cls(int(match[1]), int(match[2]))

    @classmethod
    def _of_array(cls) -> Shard:
        for index, count, first in _ARRAYS:
            if index in os.environ and count in os.environ:
                return cls.parse(f"{int(os.environ[index]) - int(os.environ.get(first or '', 0))}/{os.environ[count]}")
        needed = " or ".join(f"{index} and {count}" for index, count, _ in _ARRAYS)
        raise ConfigError(f"--shard auto: the environment has neither {needed}; give INDEX/COUNT, such as 0/8")

    def has(self, file: BatchFile) -> bool:
        """Whether this part has the file. By its key alone: files that come and go move no other between parts."""
        return int.from_bytes(hashlib.sha256(file.key.encode()).digest()[:8], "big") % self.count == self.index

    def __str__(self) -> str:
        return f"shard {self.index} of {self.count}"


WHOLE = Shard(0, 1)
"""All files."""
