"""Whole commands as a user has them, start and end included: wall clock and CPU seconds beside what they are to reach.

    python -m benchmarks.bench_end_to_end [--only CASE ...] [--json benchmarks/results/end_to_end_cpu.json]

Peers run in the same call: ffmpeg's vidstab (two passes), and DVR-Scan where it is on the PATH. Run it on an idle
machine. Flow of a stream against other implementations of RAFT is in `bench_flow`, decoding against a bare loop in
`bench_pipeline`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
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
    arguments = parser.parse_args()
    console = Console(width=120)
    result: dict[str, Any] = {"machine": machine(), "cases": {}}
    console.print_json(json.dumps(result["machine"]))
    for name in arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            found = list(CASES[name](Path(folder)))
        targets = [each for each in found if isinstance(each, Target)]
        remarks = dict(each for each in found if not isinstance(each, Target))
        result["cases"][name] = {"figures": [_figure(each) for each in targets], "runs": remarks}
        console.print(_table(name, targets))
        console.print_json(json.dumps(remarks))
    if arguments.json:
        arguments.json.write_text(json.dumps(_merged(arguments.json, result), indent=1) + "\n")


def _merged(path: Path, result: dict[str, Any]) -> dict[str, Any]:
    """With the cases of the file that were not run now, if it is from the same kind of machine."""
    before = json.loads(path.read_text()) if path.exists() else {"machine": {}, "cases": {}}
    same = all(before["machine"].get(key) == result["machine"][key] for key in ("cpu", "cores", "versions"))
    return {**result, "cases": {**(before["cases"] if same else {}), **result["cases"]}}


def _figure(target: Target) -> dict[str, Any]:
    found = None if target.found is None else round(target.found, 3)
    return {"what": target.what, "unit": target.unit, "found": found, "aim": target.aim, "met": target.met}


def _table(name: str, targets: list[Target]) -> Table:
    table = Table("figure", "found", "aim", "met", title=name, title_justify="left")
    for each in targets:
        sign = ">=" if each.more_is_better else "<="
        found = "-" if each.found is None else f"{each.found:.3g} {each.unit}"
        table.add_row(each.what, found, f"{sign} {each.aim:g} {each.unit}", each.met)
    return table


if __name__ == "__main__":
    main()
