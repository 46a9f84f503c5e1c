"""Train within a budget of time: measure the speed first, then fit the schedule into the budget.

    python -m raftline.training.budget CONFIG [MORE ...] --total-minutes 24 --minutes 8

Run it until it says that all steps are done: each call trains for `--minutes`. Settings in the files MORE replace
those in CONFIG.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from raftline.raft.devices import choose_device
from raftline.training.options import TrainOptions
from raftline.training.options_file import load_options
from raftline.training.train import start, told
from raftline.training.trainer import Trainer
from raftline.whole_file import written_whole

PLAN = "plan.json"
_WARM_UP_STEPS = 8
"""Steps before the clock starts: memory is allocated and convolutions are chosen in them. Chosen by hand."""
_MEASURED_STEPS = 24
"""Enough to average over light and heavy clips, and seconds on a GPU. Chosen by hand."""
_OVERHEAD = 0.9
"""Share of the time left after start-ups, validations and checkpoints. Chosen by hand."""


def planned(options: TrainOptions, total_minutes: float, device: str) -> TrainOptions:
    """Set as many steps as fit. The first call decides, and keeps its plan in `options.output`.

    Args:
        options: a run, whose `steps` are replaced.
        total_minutes: of all calls together.
        device: as in `raftline.training.train.train`.
    """
    plan = options.output / PLAN
    if plan.exists():
        return options.with_changes(steps=int(json.loads(plan.read_text())["steps"]))
    speed = steps_per_second(options, device)
    steps = max(1, int(_OVERHEAD * 60 * total_minutes * speed))
    options.output.mkdir(parents=True, exist_ok=True)
    with written_whole(plan, durable=True) as part:
        part.write_text(json.dumps({"steps": steps, "steps_per_second": speed, "total_minutes": total_minutes}) + "\n")
    print(f"{speed:.2f} steps/s: {steps} steps in {total_minutes:g} minutes", flush=True)
    return options.with_changes(steps=steps)


def steps_per_second(options: TrainOptions, device: str) -> float:
    """Measure one process alone. It leaves no files."""
    chosen = choose_device(device)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(options.with_changes(output=Path(folder)), chosen)
        begun = 0.0
        for number in range(_WARM_UP_STEPS + _MEASURED_STEPS):
            if number == _WARM_UP_STEPS:
                _wait(chosen)
                begun = time.monotonic()
            trainer.step()
        _wait(chosen)
        seconds = time.monotonic() - begun
        if chosen.type == "cuda":
            print(f"GPU memory at most {torch.cuda.max_memory_reserved() / 2**30:.1f} GiB", flush=True)
        trainer.sources.close()
    return _MEASURED_STEPS / seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a file of configs/train")
    parser.add_argument("more", type=Path, nargs="*", help="files whose settings replace those before them")
    parser.add_argument("--total-minutes", type=float, required=True, help="time of all calls together")
    parser.add_argument("--minutes", type=float, required=True, help="time of this call")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args(arguments)
    begun = time.monotonic()

    def work() -> None:
        options = planned(load_options(given.config, *given.more), given.total_minutes, given.device)
        start(options, given.device, given.minutes - (time.monotonic() - begun) / 60)

    return told(work)


if __name__ == "__main__":
    sys.exit(main())
