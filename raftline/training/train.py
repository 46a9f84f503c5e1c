"""Train: `python -m raftline.training.train CONFIG`. The same command goes on where the last one stopped.

Needs torch, numpy, OpenCV, safetensors, PyYAML and rich: no more than a bare GPU machine has.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from raftline.raft.devices import choose_device
from raftline.training.options import TrainOptions, load_options
from raftline.training.progress import CsvLog, Record, open_tensorboard, plain_line, say_plainly
from raftline.training.replicas import Replicas, run_replicas
from raftline.training.trainer import StepReport, Trainer, seconds_left

LOG = "log.csv"


def train(options: TrainOptions, device: str = "auto", minutes: float | None = None, tensorboard: bool = True) -> bool:
    """Train until `options.steps` are done, time is up, or SIGINT or SIGTERM comes; then save.

    Args:
        minutes: stop after so many, to be gone on with by the same call.

    Returns:
        Whether all steps are done.

    Raises:
        ValueError: data, weights or checkpoint that cannot be used, or a loss that is no number (DivergedError).
        ReplicaError: another process of the run is gone.
    """
    chosen = choose_device(device)
    if chosen.type == "cuda" and options.processes > 1:
        raise ValueError(f"processes: {options.processes} are for the CPU; on a GPU raise synthetic.clips instead")
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    return run_replicas(options.processes, _run, options, str(chosen), deadline, tensorboard)


def _run(replicas: Replicas, options: TrainOptions, device: str, deadline: float | None, tensorboard: bool) -> bool:
    first = replicas.rank == 0
    with _stop_wanted(first) as stop_wanted:
        trainer = Trainer(options, torch.device(device), replicas)
        tell = _Teller(trainer, tensorboard) if first else None
        try:
            return _loop(trainer, replicas, tell, lambda: stop_wanted() or _late(deadline))
        finally:
            trainer.sources.close()
            if tell is not None:
                tell.close()


def _loop(trainer: Trainer, replicas: Replicas, tell: "_Teller | None", stop_wanted: Callable[[], bool]) -> bool:
    options = trainer.options
    reports: list[Callable[[], StepReport]] = []
    saved = trainer.steps_done
    while trainer.steps_done < options.steps and not _all_stop(replicas, stop_wanted):
        reports.append(trainer.step())
        done = trainer.steps_done
        validating = done % options.validation.every_steps == 0 or done == options.steps
        if done % options.save_every_steps == 0:
            trainer.save()
            saved = done
        if done % options.log_every_steps == 0 or validating:
            trainer.check()
            if tell is not None:
                tell(reports, validating)
            reports.clear()
    if trainer.steps_done > saved:
        trainer.save()
    return trainer.steps_done >= options.steps


def _all_stop(replicas: Replicas, stop_wanted: Callable[[], bool]) -> bool:
    """Whether any process wants to stop: all do then, at the same step."""
    vote = torch.tensor([float(stop_wanted())])
    replicas.average([vote])
    return bool(vote > 0)


class _Teller:
    """Log and progress of the first process."""

    def __init__(self, trainer: Trainer, tensorboard: bool) -> None:
        options = trainer.options
        options.output.mkdir(parents=True, exist_ok=True)
        self._trainer = trainer
        self._log = CsvLog(options.output / LOG, trainer.steps_done)
        self._tensorboard = open_tensorboard(options.output / "tensorboard") if tensorboard else None
        self._begun = self._last = time.monotonic()
        self._first_step = trainer.steps_done
        self._bar: Progress | None = None
        where = f"RAFT-{options.architecture} on {trainer.device}, {options.processes} process(es)"
        also = " and TensorBoard" if self._tensorboard is not None else ""
        begin = f"from step {trainer.steps_done}" if trainer.steps_done else f"from {options.initial or 'scratch'}"
        say_plainly(f"{where}, {begin} to {options.steps}; log: {options.output / LOG}{also}")
        if sys.stdout.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns)
            self._bar.start()
            self._task = self._bar.add_task("begins", total=options.steps, completed=trainer.steps_done)

    def __call__(self, reports: list[Callable[[], StepReport]], validating: bool) -> None:
        """Tell of the steps since the last call."""
        read = [report() for report in reports]
        now = time.monotonic()
        speed = self._trainer.sources.clips_per_step * len(read) / max(now - self._last, 1e-9)
        validation = self._trainer.validate() if validating else None
        loss, epe_px, warm_epe_px, rate, gradient = np.mean([report[1:] for report in read], axis=0).tolist()
        record = Record(self._trainer.steps_done, loss, epe_px, warm_epe_px, rate, gradient, speed)
        if validation is not None:
            record = replace(record, validation_epe_px=validation.epe_px, validation_warm_epe_px=validation.warm_epe_px)
        self._log.write(record)
        if self._tensorboard is not None:
            self._tensorboard(record)
        options = self._trainer.options
        left = seconds_left(self._begun, record.step - self._first_step, options.steps - record.step)
        line = plain_line(record, options.steps, left)
        if self._bar is None:
            say_plainly(line)
        else:
            self._bar.update(self._task, completed=record.step, description=line)
            if validation is not None:
                self._bar.console.print(line, highlight=False)
        self._last = time.monotonic()

    def close(self) -> None:
        """End the bar; say where things are."""
        if self._bar is not None:
            self._bar.stop()
        done, steps = self._trainer.steps_done, self._trainer.options.steps
        more = "" if done >= steps else "; the same command goes on from the last checkpoint"
        say_plainly(f"{done} of {steps} steps done, in {self._trainer.options.output}{more}")


@contextmanager
def _stop_wanted(first: bool) -> Iterator[Callable[[], bool]]:
    """A question whether SIGINT or SIGTERM has come. Processes other than the first leave that to it."""
    came: list[int] = []
    handler = (lambda number, _: came.append(number)) if first else signal.SIG_IGN
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(came)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def parse_override(text: str) -> tuple[str, object]:
    """`key.path=value`, the value in YAML -> both."""
    import yaml

    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ValueError(f"--set {text!r}: expected KEY.PATH=VALUE")
    return key, yaml.safe_load(value)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path, help="a file of configs/train")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="lay over one value")
    parser.add_argument("--minutes", type=float, help="stop, saved, after so many")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args()
    return told(lambda: train(overridden(arguments.config, arguments.set), arguments.device, arguments.minutes))


def overridden(config: Path, overrides: list[str]) -> TrainOptions:
    """The options of a file with KEY.PATH=VALUE laid over it."""
    return load_options(config, dict(parse_override(text) for text in overrides))


def told(work: Callable[[], object]) -> int:
    """Do it; a failure is told in a line. The exit code: 2 for the user's mistake, 1 for ours."""
    try:
        work()
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
