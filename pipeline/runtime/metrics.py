"""Counters of a stage, and their summary.

Counters are stored with the stream's state, in the same commit as the work they count, so a crash neither loses nor
doubles any. Latencies are kept as a histogram with logarithmic buckets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

FRAMES = "frames"
"""Messages processed, without gaps and ends."""
ELAPSED_US = "elapsed_us"
"""Time from one message to the next, idle time included, us."""
BUSY_US = "busy_us"
"""Time inside the stage, us."""
DEAD_LETTERS = "dead_letters"
"""Messages that became dead letters: their workers died on them, or they could not be decoded."""
STATES_LOST = "states_lost"
"""Crashes after which a stage's large state was gone, and it began anew. Zero unless shared memory is full."""
DROPPED = "dropped:"
"""Prefix, followed by the reason: messages dropped."""
RECYCLED = "recycled"
"""The reason where a message's pixels had been written over."""
_LATENCY = "latency:"
_OWN = (FRAMES, ELAPSED_US, BUSY_US, DEAD_LETTERS)
_WIDTH = math.log(1.05)
"""Buckets are 5 % wide, so that percentiles are accurate to 2.5 %: 190 counters from 0.1 ms to 1 s."""
_LEAST_MS = 0.01
"""Latencies below this share one bucket. A hop takes about 1 ms (`python -m benchmarks.bench_pipeline --only hop`)."""


def latency_counter(latency_ms: float) -> str:
    """Name of the histogram bucket that a latency falls into."""
    return f"{_LATENCY}{int(math.log(max(latency_ms, _LEAST_MS) / _LEAST_MS) / _WIDTH)}"


def message_counts(busy_ns: int, arrival_ns: int) -> dict[str, int]:
    """What a message adds that took `busy_ns` and came at the wall clock `arrival_ns`, ns since 1970."""
    latency_ms = (time.time_ns() - arrival_ns) / 1e6
    return {FRAMES: 1, BUSY_US: busy_ns // 1000, latency_counter(latency_ms): 1}


def latency_percentile(counters: Mapping[str, int], share: float) -> float | None:
    """Latency in ms that a `share` (0 to 1) of the messages did not exceed; None without messages."""
    buckets = sorted((int(name[len(_LATENCY) :]), n) for name, n in counters.items() if name.startswith(_LATENCY))
    wanted, seen = share * sum(n for _, n in buckets), 0
    for bucket, n in buckets:
        seen += n
        if seen >= wanted:
            return round(_LEAST_MS * math.exp((bucket + 0.5) * _WIDTH), 2)
    return None


def stage_summary(counters: Mapping[str, int], status: Mapping[str, str]) -> dict[str, Any]:
    """The part of ``summary.json`` for one stage and source."""
    frames, elapsed_us = counters.get(FRAMES, 0), counters.get(ELAPSED_US, 0)
    return {
        "frames": frames,
        "dropped": {name[len(DROPPED) :]: n for name, n in counters.items() if name.startswith(DROPPED)},
        "fps": round(frames / elapsed_us * 1e6, 2) if elapsed_us and frames > 1 else None,
        "busy_ms_per_frame": round(counters.get(BUSY_US, 0) / frames / 1000, 3) if frames else None,
        "latency_ms": {"p50": latency_percentile(counters, 0.5), "p99": latency_percentile(counters, 0.99)},
        "restarts": 0,  # filled in by the supervisor, the only one that knows
        "dead_letters": counters.get(DEAD_LETTERS, 0),
        "counts": {n: v for n, v in counters.items() if n not in _OWN and not n.startswith((DROPPED, _LATENCY))},
        "status": dict(status),
    }
