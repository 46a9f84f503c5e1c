"""What a run reports on the way: a line for people, a CSV file, TensorBoard where it is installed."""

import csv
import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from raftline.whole_file import written_whole

Say = Callable[[str], None]


@dataclass(frozen=True)
class Record:
    """Means since the last record."""

    step: int
    loss: float
    epe_px: float
    """From cold starts, on the clips trained on."""
    warm_epe_px: float
    learning_rate: float
    gradient: float
    """Its norm before clipping."""
    clips_per_second: float
    """Of all processes."""
    validation_epe_px: float | None = None
    """Of the averaged weights on the validation clips, cold."""
    validation_warm_epe_px: float | None = None


class CsvLog:
    """One row per record. A resumed run continues after its checkpoint's step and drops later rows."""

    def __init__(self, path: Path, from_step: int) -> None:
        self._path = path
        self._names = [entry.name for entry in fields(Record)]
        kept: list[dict[str, Any]] = []
        if from_step and path.exists():
            with path.open(newline="") as file:
                kept = [row for row in csv.DictReader(file) if (row.get("step") or "0").isdigit()]
        with written_whole(path, durable=True) as part, part.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._names, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(row for row in kept if int(row["step"]) <= from_step)

    def write(self, record: Record) -> None:
        """Append one row."""
        values = {name: "" if value is None else f"{value:.6g}" for name, value in asdict(record).items()}
        with self._path.open("a", newline="") as file:
            csv.DictWriter(file, self._names).writerow(values | {"step": record.step})


def open_tensorboard(folder: Path) -> Callable[[Record], None] | None:
    """Make a function that writes records for TensorBoard, or None where it is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def write(record: Record) -> None:
        for name, value in asdict(record).items():
            if name != "step" and value is not None:
                writer.add_scalar(name, value, record.step)
        writer.flush()

    return write


def plain_line(record: Record, steps: int, seconds_left: float) -> str:
    """One record as a line for people."""
    errors = "" if math.isnan(record.epe_px) else f"EPE {record.epe_px:.2f} px  "
    if not math.isnan(record.warm_epe_px):
        errors += f"warm {record.warm_epe_px:.2f} px  "
    line = (
        f"step {record.step}/{steps}  loss {record.loss:.3f}  {errors}"
        f"{record.clips_per_second:.1f} clips/s  {_duration(seconds_left)} left"
    )
    if record.validation_epe_px is not None and record.validation_warm_epe_px is not None:
        line += f"  validation EPE {record.validation_epe_px:.3f}, warm {record.validation_warm_epe_px:.3f}"
    return line


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {seconds:02d} s"


def say_plainly(text: str) -> None:
    """Print a line with the time of day on stdout."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)
