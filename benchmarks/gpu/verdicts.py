"""What a GPU is to reach, and what a check of one found, row by row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.flow.targets import number_at

Results = dict[str, Any]


class Verdict(NamedTuple):
    """A row of the table."""

    what: str
    aim: str
    found: str
    met: str
    """yes, no, or empty: not measured."""


def verdicts(results: Results) -> Iterator[Verdict]:
    """The rows of the project's table of aims, for a ``results.json`` of `benchmarks.gpu_check`."""
    yield _sound("kernels against their plain twins", results, "smoke")
    yield _tests(results)
    yield _sound("compute-sanitizer on the same", results, "sanitizer")
    for what, unit, aim, more, keys in _AIMS:
        yield _number(what, unit, aim, more, number_at(results, "parts", *keys))
    yield _lookup(results, "times grid_sample's", "x", 8, "times_faster_than_grid_sample")
    yield _lookup(results, "share of the copy's bandwidth", "", 0.6, "all_pairs_gb_per_s")


_STREAM, _FLOW = ("stream", "result", "cases"), ("flow", "result", "cases")
_FASTER = (*_FLOW, "speed", "large", "times_faster", "torchvision, autocast / ours, 12", "median")
_AIMS: tuple[tuple[str, str, float, bool, tuple[str, ...]], ...] = (
    (
        "RAFT-large 1080p, 12 iterations, a frame of a stream",
        "ms",
        20,
        False,
        (*_STREAM, "large 1920x1080, 12 iterations, auto, 1 camera", "session_ms", "median"),
    ),
    ("RAFT-large 1080p, times torchvision's under autocast", "x", 3, True, _FASTER),
    (
        "RAFT-small 640x480, 4 iterations warm, one camera, without the host (TensorRT, in a public report: 2.96)",
        "ms",
        2.5,
        False,
        (*_STREAM, "small 640x480, 4 iterations, auto, 1 camera", "network_ms", "median"),
    ),
    (
        "the same with the host",
        "ms",
        2.5,
        False,
        (*_STREAM, "small 640x480, 4 iterations, auto, 1 camera", "session_ms", "median"),
    ),
    (
        "the same, 16 cameras in a pass, each, without the host",
        "ms",
        0.6,
        False,
        (*_STREAM, "small 640x480, 4 iterations, auto, 16 cameras", "network_ms_per_camera"),
    ),
    ("RAFT-large 4K on demand", "GB", 6, False, (*_FLOW, "memory", "large 3840x2160 on-demand", "gpu_gb")),
    (
        "cameras of 640x360 at 15 frames/s on one card, flow alone, 99 % within 66 ms",
        "",
        200,
        True,
        (*_STREAM, "cameras on one card", "cameras"),
    ),
)
"""What, unit, aim, whether more is better, and where it stands in the results. The aims are the project's."""


def _number(what: str, unit: str, aim: float, more: bool, found: float | None) -> Verdict:
    goal = f"{'>=' if more else '<='} {aim:g} {unit}".strip()
    if found is None:
        return Verdict(what, goal, "not measured", "")
    met = found >= aim if more else found <= aim
    return Verdict(what, goal, f"{found:g} {unit}".strip(), "yes" if met else "no")


def _lookup(results: Results, what: str, unit: str, aim: float, key: str) -> Verdict:
    found = results.get("parts", {}).get("flow", {}).get("result", {}).get("cases", {})
    large = [row for row in found.get("lookup", []) if row["size"] == "1920x1080" and row["radius"] == 4]
    value = large[0].get(key) if large else None
    if key == "all_pairs_gb_per_s" and value is not None:
        copy = found.get("rates", {}).get("copy_gb_per_s")
        value = round(value / copy, 2) if copy else None
    return _number(f"lookup at 1080p, {what}", unit, aim, True, value)


def _sound(what: str, results: Results, part: str) -> Verdict:
    """Of a part whose cases are right or wrong."""
    found = results.get("parts", {}).get(part, {}).get("result")
    if not found or not (found["cases"] or found["failed"]):
        return Verdict(what, "all pass", "not measured", "")
    left_out = [case for case in found["cases"].values() if "left_out" in case]
    if left_out:
        return Verdict(what, "all pass", f"left out: {left_out[0]['left_out']}", "")
    said = f"{len(found['cases'])} pass" + (f", {len(found['failed'])} fail" if found["failed"] else "")
    return Verdict(what, "all pass", said, "no" if found["failed"] else "yes")


def _tests(results: Results) -> Verdict:
    found = results.get("parts", {}).get("tests", {}).get("result")
    if not found or not (found["cases"] or found["failed"]):
        return Verdict("GPU tests", "all pass", "not measured", "")
    passed = sum(case.get("passed", 0) for case in found["cases"].values())
    skipped = sum(case.get("skipped", 0) for case in found["cases"].values())
    said = f"{passed} pass, {skipped} skipped" + (f", {len(found['failed'])} files fail" if found["failed"] else "")
    return Verdict("GPU tests", "all pass", said, "no" if found["failed"] else "yes" if passed else "")
