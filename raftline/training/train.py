"""Train: `python -m raftline.training.train CONFIG [MORE ...]`. The same command resumes a run that was stopped.

Settings in the files MORE replace those in CONFIG. Several processes, one for each GPU or for some CPU cores:

    torchrun --nproc-per-node N -m raftline.training.train CONFIG

Needs torch, numpy, OpenCV, safetensors, PyYAML, pydantic and rich.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from raftline.raft.devices import choose_device
from raftline.training.options import TrainOptions
from raftline.training.options_file import load_options
from raftline.training.processes import USER_MISTAKE, average, process_count, process_group, rank, start_processes
from raftline.training.progress import CsvLog, Record, open_tensorboard, plain_line, say_plainly
from raftline.training.trainer import StepReport, Trainer, seconds_left

LOG = "log.csv"
OPTIONS = "options.json"
"""What the processes of a run read, after the command line was laid over the file."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start(options: TrainOptions, device: str = "auto", minutes: float | None = None) -> None:
    """`train` in `options.processes` processes, or in those that torchrun started.

    Raises:
        ValueError: see `train`; or more processes than GPUs.
        ProcessError: one of several processes ended.
    """
    if options.processes == 1 or distributed.is_torchelastic_launched():
        train(options, device, minutes)
        return
    if choose_device(device).type == "cuda" and options.processes > torch.cuda.device_count():
        raise ValueError(
            f"processes: found {options.processes}; allowed: at most {torch.cuda.device_count()}, one for each GPU"
        )
    options.output.mkdir(parents=True, exist_ok=True)
    resolved = options.output / OPTIONS
    resolved.write_text(options.model_dump_json(indent=2) + "\n")
    limits = [] if minutes is None else ["--minutes", str(minutes)]
    start_processes(options.processes, "raftline.training.train", [str(resolved), "--device", device, *limits])


def train(options: TrainOptions, device: str = "auto", minutes: float | None = None, tensorboard: bool = True) -> bool:
    """Train until `options.steps` are done, time is up, or SIGINT or SIGTERM comes; then save.

    Args:
        options: `processes` is not read: torchrun decides how many there are.
        device: auto (CUDA if there, else CPU), cpu, cuda or cuda:N.
        minutes: stop after this time; the same call resumes the run.
        tensorboard: write for TensorBoard where it is installed.

    Returns:
        Whether all steps are done.

    Raises:
        ValueError: data, weights or checkpoint that cannot be used, or a loss that is not finite (DivergedError).
    """
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    chosen = choose_device(device)
    if chosen.type == "cuda" and distributed.is_torchelastic_launched():
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    with process_group(chosen), _stop_wanted() as stop_wanted:
        trainer = Trainer(options, chosen)
        tell = _Teller(trainer, tensorboard) if rank() == 0 else None
        try:
            return _loop(trainer, tell, lambda: stop_wanted() or _late(deadline))
        finally:
            trainer.sources.close()
            if tell is not None:
                tell.close()


def _loop(trainer: Trainer, tell: "_Teller | None", stop_wanted: Callable[[], bool]) -> bool:
    options = trainer.options
    reports: list[Callable[[], StepReport]] = []
    saved = trainer.steps_done
    while trainer.steps_done < options.steps and not _all_stop(stop_wanted):
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


def _all_stop(stop_wanted: Callable[[], bool]) -> bool:
    """Whether any process wants to stop: all do then, at the same step."""
    vote = torch.tensor([float(stop_wanted())])
    average(vote)
    return bool(vote > 0)


class _Teller:
    """Log and progress, in the first process."""

    def __init__(self, trainer: Trainer, tensorboard: bool) -> None:
        options = trainer.options
        options.output.mkdir(parents=True, exist_ok=True)
        self._trainer = trainer
        self._log = CsvLog(options.output / LOG, trainer.steps_done)
        self._tensorboard = open_tensorboard(options.output / "tensorboard") if tensorboard else None
        self._begun = self._last = time.monotonic()
        self._first_step = trainer.steps_done
        self._bar: Progress | None = None
        where = f"RAFT-{options.architecture} on {trainer.device}, {process_count()} process(es)"
        also = " and TensorBoard" if self._tensorboard is not None else ""
        begin = f"from step {trainer.steps_done}" if trainer.steps_done else f"from {options.initial or 'scratch'}"
        say_plainly(f"{where}, {begin} to {options.steps}; log: {options.output / LOG}{also}")
        if sys.stdout.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns)
            self._bar.start()
            self._task = self._bar.add_task("begins", total=options.steps, completed=trainer.steps_done)

    def __call__(self, reports: list[Callable[[], StepReport]], validating: bool) -> None:
        """Report the steps since the last call."""
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
        """End the bar; print how far the run is and where its files are."""
        if self._bar is not None:
            self._bar.stop()
        done, steps = self._trainer.steps_done, self._trainer.options.steps
        more = "" if done >= steps else "; the same command resumes from the last checkpoint"
        say_plainly(f"{done} of {steps} steps done, in {self._trainer.options.output}{more}")


@contextmanager
def _stop_wanted() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether SIGINT or SIGTERM has come."""
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in STOP_SIGNALS}
    try:
        yield lambda: bool(came)
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _late(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() > deadline


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a file of configs/train")
    parser.add_argument("more", type=Path, nargs="*", help="files whose settings replace those before them")
    parser.add_argument("--minutes", type=float, help="stop after this time, saved")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    given = parser.parse_args()
    return told(lambda: start(load_options(given.config, *given.more), given.device, given.minutes))


def told(work: Callable[[], object]) -> int:
    """Run `work` and print an error in one line. Returns the exit code: 2 for the user's mistake, 1 for ours."""
    try:
        work()
    except (ValueError, OSError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return USER_MISTAKE if isinstance(error, ValueError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
