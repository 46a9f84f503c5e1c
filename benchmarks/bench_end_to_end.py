"""Whole commands as a user has them, start and end included: wall clock and CPU seconds beside what they are to reach.

    python -m benchmarks.bench_end_to_end [--only CASE ...] [--repeats N] [--json FILE]

Peers run in the same call: ffmpeg's vidstab (two passes), DVR-Scan where it is on the PATH, and RAFT of torchvision,
OpenVINO and ONNX Runtime (``pip install --no-deps torchvision==0.28.0``, and what `bench_flow` names). Run it on an
idle machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.end_to_end.cases import CASES
from benchmarks.flow.targets import Target
from benchmarks.machine import machine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, nargs="+", default=list(CASES), help="these cases only")
    parser.add_argument("--json", type=Path, help="also write the result to this file; other cases in it are kept")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each case; figures are then medians")
    arguments = parser.parse_args()
    console = Console(width=120)
    result: dict[str, Any] = {"machine": machine(), "cases": {}}
    console.print_json(json.dumps(result["machine"]))
    for name in arguments.only:
        figures: dict[str, list[Target]] = defaultdict(list)
        remarks: list[dict[str, Any]] = []
        for _ in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                found = list(CASES[name](Path(folder)))
            for each in (each for each in found if isinstance(each, Target)):
                figures[each.what].append(each)
            remarks.append(dict(each for each in found if not isinstance(each, Target)))
        result["cases"][name] = {"figures": [_figure(each) for each in figures.values()], "runs": remarks}
        console.print(_table(name, result["cases"][name]["figures"]))
        console.print_json(json.dumps(remarks))
    if arguments.json:
        arguments.json.write_text(json.dumps(_merged(arguments.json, result), indent=1) + "\n")


def _merged(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """With the cases of the file that were not run now, if it is from the same kind of machine."""
    before = json.loads(path.read_text()) if path.exists() else {"machine": {}, "cases": {}}
    same = all(before["machine"].get(key) == result["machine"][key] for key in ("cpu", "cores", "versions"))
    return {**result, "cases": {**(before["cases"] if same else {}), **result["cases"]}}


def _figure(targets: list[Target]) -> dict[str, Any]:
    """The median of what was found in each run of a case, and whether that is enough."""
    first = targets[0]
    found = sorted(each.found for each in targets if each.found is not None)
    median = statistics.median(found) if found else None
    figure = {"what": first.what, "unit": first.unit, "found": None if median is None else round(median, 3)}
    if len(found) > 1:
        figure |= {"min": round(found[0], 3), "max": round(found[-1], 3)}
    sign = ">=" if first.more_is_better else "<="
    return {**figure, "sign": sign, "aim": first.aim, "met": first._replace(found=median).met}


def _table(name: str, figures: list[dict[str, Any]]) -> Table:
    table = Table("figure", "found", "aim", "met", title=name, title_justify="left")
    for each in figures:
        found = "-" if each["found"] is None else f"{each['found']:.3g} {each['unit']}"
        if "min" in each:
            found += f" ({each['min']:.3g} - {each['max']:.3g})"
        table.add_row(each["what"], found, f"{each['sign']} {each['aim']:g} {each['unit']}", each["met"])
    return table


if __name__ == "__main__":
    main()
