"""Shows that training works, in minutes on a CPU: `python -m raftline.training.smoke [FOLDER]`.

RAFT-small learns six synthetic clips from scratch (configs/train/smoke.yaml), twice at once: one run is left alone, the
other is killed on its way and started again. Both must end with the same weights, and with loss and error clearly down.
"""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import safetensors.torch
import torch

from raftline.raft.model import Raft
from raftline.training.checkpoint import NAME, WEIGHTS, load_checkpoint
from raftline.training.options import TrainOptions
from raftline.training.options_file import load_options
from raftline.training.sources import synthetic_clips
from raftline.training.validation import validate

_ROOT = Path(__file__).resolve().parents[2]
_CONFIG = _ROOT / "configs" / "train" / "smoke.yaml"
_PATIENCE_SECONDS = 3600
"""Chosen by hand; a run takes minutes on two cores."""


class SmokeError(RuntimeError):
    """Training does not do what it should; the message says what."""


def main(folder: Path) -> None:
    """Run both, compare, print. Raises SmokeError."""
    whole, killed = folder / "whole", folder / "killed"
    for run in (whole, killed):
        for name in (NAME, "checkpoint.previous.safetensors", WEIGHTS, "log.csv"):
            (run / name).unlink(missing_ok=True)
    first, second = _start(whole), _start(killed)
    try:
        step = _kill_after(second, killed, load_options(_CONFIG).steps // 2)
        print(f"killed after the checkpoint of step {step}; started again", flush=True)
        second = _start(killed)
        for process in (first, second):
            if process.wait(_PATIENCE_SECONDS) != 0:
                raise SmokeError(f"a training run ended with exit code {process.returncode}; its error is above")
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    _compare(whole, killed)
    _judge(whole, load_options(_CONFIG))


def _start(output: Path) -> subprocess.Popen[bytes]:
    output.mkdir(parents=True, exist_ok=True)
    place = output / "output.yaml"
    place.write_text(json.dumps({"output": str(output)}))
    command = [sys.executable, "-m", "raftline.training.train", str(_CONFIG), str(place), "--device", "cpu"]
    return subprocess.Popen(command, cwd=_ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"})


def _kill_after(process: subprocess.Popen[bytes], output: Path, step: int) -> int:
    """SIGKILL once a checkpoint of `step` or later is there. Returns the step that it holds."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        checkpoint = load_checkpoint(output, "small")
        if checkpoint is not None and checkpoint.step >= step:
            process.kill()
            process.wait()
            return checkpoint.step
        if process.poll() is not None:
            raise SmokeError(f"training ended with exit code {process.returncode} before step {step}")
        time.sleep(0.5)
    raise SmokeError(f"training did not reach step {step} within {_PATIENCE_SECONDS} s")


def _compare(whole: Path, killed: Path) -> None:
    """Bit by bit: one thread adds in one order."""
    ours, theirs = (safetensors.torch.load_file(run / WEIGHTS) for run in (whole, killed))
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    if different:
        raise SmokeError(f"the run that was killed ended with other weights: {len(different)}, {different[0]} first")
    print(f"the run that was killed has the same {len(ours)} tensors, bit by bit")


def _judge(run: Path, options: TrainOptions) -> None:
    with (run / "log.csv").open(newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    quarter = len(losses) // 4
    begin, end = sum(losses[:quarter]) / quarter, sum(losses[-quarter:]) / quarter
    clips = synthetic_clips(options, torch.device("cpu")).with_seed(options.validation.seed)
    torch.manual_seed(options.seed)
    model = Raft(options.architecture).eval()
    errors = []
    for weights in (None, safetensors.torch.load_file(run / WEIGHTS)):
        if weights is not None:
            model.load_state_dict(weights)
        errors.append(validate(model, clips, options.validation.clips, options.iterations, options.iterations).epe_px)
    print(f"loss {begin:.2f} -> {end:.2f}; EPE on its clips {errors[0]:.2f} -> {errors[1]:.2f} px")
    if not (end < 0.6 * begin and errors[1] < 0.5 * errors[0]):
        raise SmokeError(
            "the loss was to fall to 0.6 of the first steps', the error to half of the untrained network's"
        )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "out" / "train" / "smoke")
    except SmokeError as failure:
        sys.exit(f"error: {failure}")
