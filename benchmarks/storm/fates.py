"""What became of each message of a camera: in the last stage's ledger, or in the log with the reason why not.

Workers log (``RAFTLINE_LOG=DEBUG``) each message that they drop, with its position, before they commit that they did.
So neither a Redis that forgets its counters nor a worker that dies between the two takes an account away.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_WAY = ("flow", "motion_mask", "ledger")
"""Of the stages in `benchmarks.storm.runs`: what one beside it drops, such as the event log, explains nothing."""
_DROPPED = re.compile(r"raftline\.(\w+)\.(\S+): dropped: (\w+) of \S+ at (\d+)-(\d+)$")
_TRIMMED = re.compile(r"raftline\.(\w+)\.(\S+): trimmed: (\d+) unread of \S+ after (\d+)-(\d+) and before (\d+)-(\d+)$")


@dataclass
class Trimmed:
    """So many messages, somewhere between two, were trimmed before a stage read them."""

    stage: str
    epoch: int
    after: int
    before: int
    count: int


@dataclass
class Fates:
    """What a log says of one camera's messages."""

    dropped: dict[tuple[int, int], str] = field(default_factory=dict)
    """By position (epoch, sequence): why, and at which stage."""
    trimmed: list[Trimmed] = field(default_factory=list)


def fates(log: Iterable[str], camera: str, way: Collection[str] = _WAY) -> Fates:
    """Read the lines of a log that are of stages on the `way` to the ledger."""
    found = Fates()
    for line in log:
        if (match := _DROPPED.search(line)) and match[2] == camera and match[1] in way:
            found.dropped[int(match[4]), int(match[5])] = f"{match[3]} at {match[1]}"
        elif (match := _TRIMMED.search(line)) and match[2] == camera and match[1] in way:
            after = int(match[5]) if match[4] == match[6] else 0
            _merge(found.trimmed, Trimmed(match[1], int(match[6]), after, int(match[7]), int(match[3])))
    return found


def _merge(known: list[Trimmed], new: Trimmed) -> None:
    """A worker that dies before its commit leaves its successor to tell of the same messages once more."""
    for each in known:
        if (each.stage, each.epoch) == (new.stage, new.epoch) and each.after < new.before and new.after < each.before:
            each.after, each.before = min(each.after, new.after), max(each.before, new.before)
            each.count = max(each.count, new.count)
            return
    known.append(new)


def account(ledger: Sequence[Any], told: Fates) -> tuple[Counter[str], list[tuple[int, int]]]:
    """What became of the messages that a ledger lacks, from the first to its last one in each epoch.

    Returns:
        How many by reason and stage, and the positions of those of which nothing is known.
    """
    by_epoch: dict[int, set[int]] = defaultdict(set)
    for epoch, sequence, *_ in ledger:
        by_epoch[epoch].add(sequence)
    why: Counter[str] = Counter()
    unknown: list[tuple[int, int]] = []
    left = [[each, each.count] for each in sorted(told.trimmed, key=lambda each: each.before)]
    for epoch, there in sorted(by_epoch.items()):
        for sequence in sorted(set(range(1, max(there))) - there):
            if reason := told.dropped.get((epoch, sequence)):
                why[reason] += 1
            elif (trimmed := _takes(left, epoch, sequence)) is not None:
                why[f"unread at {trimmed.stage}"] += 1
            else:
                unknown.append((epoch, sequence))
    return why, unknown


def _takes(left: list[list[Any]], epoch: int, sequence: int) -> Trimmed | None:
    """The one that may tell of a message and ends first; it tells of one less from now on."""
    for each in left:
        trimmed, count = each
        if count and trimmed.epoch == epoch and trimmed.after < sequence < trimmed.before:
            each[1] -= 1
            return trimmed
    return None


def read_fates(log: Path, camera: str) -> Fates:
    """What a log file says of one camera's messages."""
    with open(log, errors="replace") as lines:
        return fates((line.rstrip("\n") for line in lines), camera)
