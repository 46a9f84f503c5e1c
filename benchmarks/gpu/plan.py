"""The parts of a check of a GPU, in the order in which they run: what fails first is what the rest stands on."""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One program. It takes ``--device``, ``--json FILE`` and, for a dry run, ``--tiny``."""

    name: str
    module: str
    seconds: float
    """It is stopped after that, if it has not ended. Chosen by hand; the sum is more than a run has."""
    options: tuple[str, ...] = ()
    keeps: bool = False
    """Takes ``--keep DIR`` as well."""

    def command(self, device: str, dry: bool, json_file: str, keep: str) -> list[str]:
        """Its command line."""
        kept = ["--keep", keep] if self.keeps else []
        tiny = ["--tiny"] if dry else []
        own = [*self.options, "--device", device, "--json", json_file, *kept, *tiny]
        return [sys.executable, "-m", self.module, *own]


PARTS = (
    Part("smoke", "benchmarks.gpu.smoke", 60, keeps=True),
    Part("tests", "benchmarks.gpu.gpu_tests", 120),
    Part("flow", "benchmarks.bench_flow", 150, ("--resume",)),
    Part("carry_and_upsample", "benchmarks.bench_carry_and_upsample", 40),
    Part("variational_refinement", "benchmarks.bench_variational_refinement", 40),
    Part("stream", "benchmarks.gpu.stream", 150),
    Part("profile", "benchmarks.gpu.profile", 90),
    Part("sanitizer", "benchmarks.gpu.sanitizer", 120),
)
