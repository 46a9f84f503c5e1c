"""The figures of a run as a table, beside what they are to reach."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table


class Target(NamedTuple):
    """A figure and what it is to reach."""

    what: str
    unit: str
    found: float | None
    """None: not measured in this run."""
    aim: float
    more_is_better: bool

    @property
    def met(self) -> str:
        """yes, NO, or "not measured"."""
        if self.found is None:
            return "not measured"
        return "yes" if (self.found >= self.aim if self.more_is_better else self.found <= self.aim) else "NO"


def print_report(report: dict[str, Any]) -> None:
    """Everything, as tables."""
    console = Console(width=140)
    console.print_json(json.dumps({key: report[key] for key in ("machine", "weights")}))
    if "rates" in report:
        console.print(_flat("measured rates of this machine", report["rates"]))
    for name, part in report.get("parts", {}).items():
        console.print(_parts(name, part, report.get("rates", {})))
    if "epe_px" in report.get("accuracy", {}).get("auto", {}):
        console.print(_errors(report["accuracy"]))
    for name, row in report.get("confidence", {}).items():
        console.print(_flat(f"confidence, {name}", row))
    for name, race in report.get("speed", {}).items():
        console.print(_race(name, race))
    if report.get("runtimes"):
        console.print(_race("small, accuracy: pixels", report["runtimes"]))
    for lookup in report.get("lookup", []):
        found = {name: _text(value) for name, value in lookup["ms"].items()}
        rest = {key: lookup[key] for key in ("all_pairs_gb_per_s", "times_faster_than_grid_sample") if key in lookup}
        console.print(_flat(f"one lookup, ms, {lookup['size']}, radius {lookup['radius']}", found | rest))
    if "warm_start" in report:
        warm = {name: _text(v) for name, v in report["warm_start"].items() if isinstance(v, dict)}
        console.print(_flat(f"a warm start, ms, {report['warm_start']['size']}", warm))
    for name, peak in report.get("memory", {}).items():
        console.print(_flat(f"peak memory, GB, {name}", peak))
    table = Table("target", "found", "aim", "met", title="targets")
    for target in targets(report):
        found = "" if target.found is None else f"{target.found:g} {target.unit}"
        table.add_row(target.what, found, f"{'>=' if target.more_is_better else '<='} {target.aim:g}", target.met)
    console.print(table)


def targets(report: dict[str, Any]) -> Iterator[Target]:
    """What a run has to reach, by its device."""
    yield Target(
        "auto against float32, 12 iterations, the scene that differs most", "px", _largest_change(report), 0.02, False
    )
    yield from (_gpu_targets if "cuda" in report["command"] else _cpu_targets)(report)


def _cpu_targets(report: dict[str, Any]) -> Iterator[Target]:
    memory = report.get("memory", {})
    few = report.get("accuracy", {}).get("auto", {}).get("fewest_iterations_within_0.02_px", 12)
    small, large = _times_faster(report, "small", "ours, 12"), _times_faster(report, "large", "ours, 12")
    yield Target("RAFT-small 640x480, 12 iterations, times torchvision's", "x", small, 2.5, True)
    at_few = _times_faster(report, "small", f"ours, {few}")
    yield Target(f"the same at {few}, the fewest that keep its EPE", "x", at_few, 4, True)
    yield Target("RAFT-large 640x480, 12 iterations, times torchvision's", "x", large, 2, True)
    for peer, aim in (("torchvision", 10), ("OpenVINO", 3), ("ONNX Runtime", 3)):
        for measure, said in (("times_faster", "faster"), ("times_less_cpu", "less CPU time")):
            found = number_at(report, "runtimes", measure, f"{peer} / ours, pixels", "median")
            what = f"RAFT-small 640x480, stream at 12 iterations' EPE, than the same network in {peer}"
            yield Target(what, f"x {said}", found, aim, True)
    worst = [each["epe_px"] - each["peer_epe_px"] for each in report.get("runtimes", {}).get("errors", {}).values()]
    yield Target("its end-point error, beyond torchvision's, the worst scene", "px", max(worst, default=None), 0, False)
    peak = number_at(memory, "small 1920x1080 auto", "process_gb")
    yield Target("RAFT-small 1080p, the whole process", "GB", peak, 2, False)
    yield Target("adaptive warm start at 1080p", "ms", number_at(report, "warm_start", "adaptive", "median"), 6, False)


def _gpu_targets(report: dict[str, Any]) -> Iterator[Target]:
    memory = report.get("memory", {})
    autocast = _times_faster(report, "large", "ours, 12", "torchvision, autocast")
    large = _times_faster(report, "large", "ours, 12")
    yield Target("RAFT-large 1080p, times torchvision's under autocast", "x", autocast, 3, True)
    yield Target("RAFT-large 1080p, times torchvision's in float32", "x", large, 4, True)
    milliseconds = number_at(report, "speed", "large", "ms_per_frame", "ours, 12", "median")
    yield Target("RAFT-large 1080p, a frame", "ms", milliseconds, 20, False)
    yield Target("adaptive warm start at 1080p", "ms", number_at(report, "warm_start", "adaptive", "median"), 1, False)
    for name, size, aim in (("1080p", "1920x1080", 1.3), ("4K", "3840x2160", 6)):
        peak = number_at(memory, f"large {size} on-demand", "gpu_gb")
        yield Target(f"RAFT-large {name} on demand", "GB", peak, aim, False)
    for lookup in report.get("lookup", []):
        if lookup["radius"] == 4 and "times_faster_than_grid_sample" in lookup:
            size, found = lookup["size"], lookup["ms"]
            yield Target(f"lookup {size}, times grid_sample's", "x", lookup["times_faster_than_grid_sample"], 8, True)
            ratio = round(found["on demand"]["median"] / found["all pairs"]["median"], 2)
            yield Target(f"lookup {size}, on demand / all pairs", "x", ratio, 1.2 if size == "1920x1080" else 1, False)


def _times_faster(report: dict[str, Any], network: str, name: str, peer: str = "torchvision") -> float | None:
    return number_at(report, "speed", network, "times_faster", f"{peer} / {name}", "median")


def _parts(name: str, part: dict[str, Any], rates: dict[str, float]) -> Table:
    table = Table("part", "GFLOP a frame", title=f"where the time goes: RAFT-{name}, 12 iterations")
    for precision in part["ms"]:
        table.add_column(f"{precision}, ms a frame")
    limits = {
        name: max((rate for key, rate in rates.items() if kind in key), default=None)
        for name, kind in (("auto", "gflops"), ("float32", "float32_gflops"))
    }
    operations = part["gflop_per_frame"]
    counted = {"encoders": "encoders", "update": "update", "lookup": "lookup_on_demand", "upsample": "upsample"}
    total = dict.fromkeys(part["ms"], 0.0)
    for row in next(iter(part["ms"].values())):
        times = 12 if row in ("lookup", "update") else 1
        taken = {precision: times * values[row] for precision, values in part["ms"].items()}
        for precision, value in taken.items():
            total[precision] += value
        table.add_row(row, f"{operations.get(counted.get(row, ''), '')}", *(f"{value:.1f}" for value in taken.values()))
    work = sum(operations.get(key, 0) for key in ("encoders", "update", "upsample"))
    table.add_row("sum", f"{work:.1f} (convolutions)", *(f"{value:.1f}" for value in total.values()))
    if all(limits.values()):
        table.add_row("at the machine's best rate", "", *(f"{1e3 * work / (limits[p] or 1):.1f}" for p in part["ms"]))
    return table


def _errors(accuracy: dict[str, Any]) -> Table:
    auto, exact = accuracy["auto"], accuracy["float32"]
    table = Table("end-point error, px", "torchvision, 12", title=f"all ground truth; auto is {auto['precision']}")
    shown = (1, 2, 4, 6, 8, 10, 12, 20)
    for count in shown:
        table.add_column(f"auto, {count}")
    table.add_column("float32, 12")
    for name, curve in auto["epe_px"].items():
        found = [f"{curve[count - 1]:.3f}" for count in shown]
        peer = auto["peer_epe_px"].get(name)
        table.add_row(name, "" if peer is None else f"{peer:.3f}", *found, f"{exact['epe_px'][name][11]:.3f}")
    peers = auto["peer_epe_px"].values() or [float("nan")]
    means = [f"{auto['mean_epe_px'][count - 1]:.3f}" for count in shown]
    table.add_row("mean", f"{sum(peers) / len(peers):.3f}", *means, f"{exact['mean_epe_px'][11]:.3f}")
    return table


def _race(name: str, race: dict[str, Any]) -> Table:
    table = Table("way, iterations", "ms a frame", "CPU ms", title=f"RAFT-{name} {race['size']}: {race['clip']}")
    for way, taken in race["ms_per_frame"].items():
        table.add_row(way, _text(taken), _text(race["cpu_ms_per_frame"][way]))
    for ratio, taken in race["times_faster"].items():
        table.add_row(ratio, f"{_text(taken)} x", f"{_text(race['times_less_cpu'][ratio])} x")
    return table


def _flat(title: str, values: dict[str, Any]) -> Table:
    table = Table(*values, title=title)
    table.add_row(*(str(value) for value in values.values()))
    return table


def _text(value: dict[str, Any]) -> str:
    return f"{value['median']} ({value['min']} - {value['max']})"


def _largest_change(report: dict[str, Any]) -> float | None:
    accuracy = report.get("accuracy", {})
    if "float32" not in accuracy:
        return None
    curves = (accuracy[name]["epe_px"] for name in ("auto", "float32"))
    auto, exact = ({name: curve[11] for name, curve in each.items()} for each in curves)
    return round(max(abs(auto[name] - exact[name]) for name in exact), 4)


def number_at(values: dict[str, Any], *keys: str) -> float | None:
    """The number at a path of keys; None where there is none."""
    found: Any = values
    for key in keys:
        found = found.get(key, {}) if isinstance(found, dict) else {}
    return found if isinstance(found, int | float) else None
