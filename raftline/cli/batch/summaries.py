"""Summaries of the tasks of a long file, and the one of the file that is made of them."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

Told = dict[str, Any]


def said_before(file: Path, state: Collection[str] = ("finished",)) -> Told | None:
    """The summary of a task that was finished before."""
    try:
        told: Told = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return told if told.get("state") in state and not told.get("dead_letters") else None


def gathered(
    measured: Sequence[Told], name: str, stage: str, said: Mapping[str, str], frames: int, took: tuple[float, float]
) -> Told:
    """The summary that a run in order would have had, of a file whose sections were measured separately.

    Args:
        measured: Of the sections' runs.
        name: Of the source.
        stage: That gathered what they measured.
        said: What it said.
        frames: Of the file.
        took: Seconds of gathering, by the wall clock and of CPU time.
    """
    told = copy.deepcopy(measured[0])
    source = told["sources"][name]
    for each, own in source["stages"].items():
        counts: dict[str, int] = {}
        for part in measured:
            for what, count in part["sources"][name]["stages"][each]["counts"].items():
                counts[what] = counts.get(what, 0) + count
        own |= {"frames": frames, "counts": counts}
    shown = {key: value for key, value in said.items() if not key.startswith(("output ", "part "))}
    source["stages"][stage]["status"] |= shown
    source["outputs"] = sorted(key.removeprefix("output ") for key in said if key.startswith("output "))
    source |= {"frames_decoded": frames, "frames_expected": None}
    for worker, work in told["workers"].items():
        work["cpu_seconds"] = round(sum(part["workers"][worker]["cpu_seconds"] or 0.0 for part in measured), 3)
    told["seconds"] = round(sum(part["seconds"] for part in measured), 3)
    seconds, cpu_seconds = (round(each, 3) for each in took)
    return {**told, "tasks": {"path": {"seconds": seconds, "cpu_seconds": cpu_seconds, "stages": {stage: cpu_seconds}}}}


def merged(in_order: Told, others: Mapping[str, Told], joined: Mapping[str, Mapping[str, str]], name: str) -> Told:
    """The summary of a file whose tasks have all been finished.

    Args:
        in_order: Of the run in order.
        others: Of all other tasks, by their names.
        joined: What the stages said that joined them, by name of the stage.
        name: Of the source.
    """
    in_order.setdefault("tasks", {"in-order": _took(in_order)})
    in_order["tasks"] |= {task: _took(told) for task, told in others.items()}
    rests = [told for task, told in others.items() if task.startswith("rest")]
    source = in_order["sources"][name]
    for stage in (stage for told in rests for stage in told["sources"][name]["stages"]):
        if stage not in source["stages"]:
            parts = [told["sources"][name]["stages"][stage] for told in rests]
            source["stages"][stage] = {**parts[0], "frames": sum(part["frames"] for part in parts)}
    workers = in_order["workers"]
    for told in rests:
        for stage, work in told["workers"].items():
            known = workers.setdefault(stage, {**work, "cpu_seconds": 0.0})
            known["cpu_seconds"] = round((known["cpu_seconds"] or 0.0) + (work["cpu_seconds"] or 0.0), 3)
    outputs = set(source["outputs"])
    for stage, said in joined.items():
        outputs |= {key.removeprefix("output ") for key in said if key.startswith("output ")}
        shown = {key: value for key, value in said.items() if not key.startswith(("output ", "part "))}
        source["stages"][stage]["status"] = {**source["stages"][stage]["status"], **shown}
    source["outputs"] = sorted(outputs)
    return in_order


def _took(told: Told) -> dict[str, Any]:
    stages = {stage: work["cpu_seconds"] or 0.0 for stage, work in told["workers"].items()}
    return {"seconds": told["seconds"], "cpu_seconds": round(sum(stages.values()), 3), "stages": stages}
