"""What is counted, and how it is shown.

Counters live with the stream's state and change in the same commit as the work they count, so a crash neither loses nor
doubles them. Latencies are kept as a histogram with buckets 5 % wide: a percentile is right to 2.5 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

FRAMES = "frames"
"""Messages processed, gaps and ends not among them."""
ELAPSED_US = "elapsed_us"
"""From one message to the next, idle time included."""
BUSY_US = "busy_us"
"""Inside the stage."""
DEAD_LETTERS = "dead_letters"
DROPPED = "dropped:"
"""Prefix; the reason follows."""
_LATENCY = "latency:"
_OWN = (FRAMES, ELAPSED_US, BUSY_US, DEAD_LETTERS)
_WIDTH = math.log(1.05)
_LEAST_MS = 0.01


def latency_counter(latency_ms: float) -> str:
    """Name of the histogram bucket that a latency falls into."""
    return f"{_LATENCY}{int(math.log(max(latency_ms, _LEAST_MS) / _LEAST_MS) / _WIDTH)}"


def latency_percentile(counters: Mapping[str, int], share: float) -> float | None:
    """Latency in ms that `share` (0-1) of the messages stayed under; None without any."""
    buckets = sorted((int(name[len(_LATENCY) :]), n) for name, n in counters.items() if name.startswith(_LATENCY))
    wanted, seen = share * sum(n for _, n in buckets), 0
    for bucket, n in buckets:
        seen += n
        if seen >= wanted:
            return round(_LEAST_MS * math.exp((bucket + 0.5) * _WIDTH), 2)
    return None


def stage_summary(counters: Mapping[str, int], status: Mapping[str, str]) -> dict[str, Any]:
    """The part of ``summary.json`` about one stage and source."""
    frames, elapsed_us = counters.get(FRAMES, 0), counters.get(ELAPSED_US, 0)
    return {
        "frames": frames,
        "dropped": {name[len(DROPPED) :]: n for name, n in counters.items() if name.startswith(DROPPED)},
        "fps": round(frames / elapsed_us * 1e6, 2) if elapsed_us and frames > 1 else None,
        "busy_ms_per_frame": round(counters.get(BUSY_US, 0) / frames / 1000, 3) if frames else None,
        "latency_ms": {"p50": latency_percentile(counters, 0.5), "p99": latency_percentile(counters, 0.99)},
        "restarts": 0,  # filled in by the supervisor, which alone knows
        "dead_letters": counters.get(DEAD_LETTERS, 0),
        "counts": {n: v for n, v in counters.items() if n not in _OWN and not n.startswith((DROPPED, _LATENCY))},
        "status": dict(status),
    }
