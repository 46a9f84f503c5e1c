"""Puts what `benchmarks.gpu_check` found into the documentation and into benchmarks/results.

    python -m benchmarks.gpu_results DIR [--root CHECKOUT]

Tables go into docs/benchmarks.md and docs/gpu.md, a sentence into README.md, between ``<!-- gpu-results -->`` and
``<!-- /gpu-results -->``; what stood there is replaced. Results of a dry run are refused, unless --root names a copy.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from benchmarks.gpu.verdicts import Results, Verdict, verdicts

ROOT = Path(__file__).resolve().parent.parent
README, TABLES = "README.md", ("docs/benchmarks.md", "docs/gpu.md")
_BEGIN, _END = "<!-- gpu-results -->", "<!-- /gpu-results -->"
_FILES = {
    "flow": "flow_cuda.json",
    "carry_and_upsample": "carry_and_upsample_cuda.json",
    "variational_refinement": "variational_refinement_cuda.json",
    "stream": "gpu_stream.json",
    "profile": "gpu_profile.json",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the --out of gpu_check")
    parser.add_argument("--root", type=Path, help="a copy of the project to write into; this checkout if not given")
    arguments = parser.parse_args()
    file = arguments.folder / "results.json"
    if not file.is_file():
        raise SystemExit(f"{file} is not there. It is what `python -m benchmarks.gpu_check --out DIR` writes")
    results = json.loads(file.read_text())
    if results.get("dry") and arguments.root is None:
        raise SystemExit(f"{file} is of a dry run: its figures mean nothing. Only --root COPY takes it")
    for written in apply(results, arguments.root or ROOT):
        print(written)


def apply(results: Results, root: Path) -> list[Path]:
    """Write the files of results and the tables; returns what was written.

    Raises:
        SystemExit: a page without the two marks.
    """
    written = [_write(root / "benchmarks" / "results" / name, content) for name, content in _contents(results)]
    rows = list(verdicts(results))
    pages = {page: f"\n{table(results, rows)}\n" for page in TABLES}
    pages[README] = sentence(results, rows)
    for page, words in pages.items():
        path = root / page
        path.write_text(with_words(path.read_text(), words, page))
        written.append(path)
    return written


def with_words(text: str, words: str, name: str) -> str:
    """The page with `words` between its marks."""
    pattern = re.compile(f"{_BEGIN}.*?{_END}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise SystemExit(f"{name}: expected {_BEGIN} and {_END} once; found {text.count(_BEGIN)} times")
    return pattern.sub(lambda _: f"{_BEGIN}{words}{_END}", text)


def table(results: Results, rows: list[Verdict]) -> str:
    """Markdown: the card and the rows."""
    machine = _machine(results)
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    head = f"On one {machine.get('gpu') or 'GPU'}, driver {machine.get('driver') or 'unknown'}, {versions}:"
    lines = [head, "", "| | aim | found | met |", "| --- | --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {row.what} | {row.aim} | {row.found} | {row.met} |" for row in rows)])


def sentence(results: Results, rows: list[Verdict]) -> str:
    """The figures, without their aims, for the README."""
    figures = [f"{row.what}: {row.found}" for row in rows if row.met and row.aim != "all pass"]
    card = _machine(results).get("gpu") or "GPU"
    return f" On one {card}: {'; '.join(figures)} ([all of it](docs/gpu.md))." if figures else ""


def _contents(results: Results) -> list[tuple[str, dict[str, Any]]]:
    """By name of file; only of parts that found something."""
    found = {name: part["result"] for name, part in results["parts"].items() if part.get("result")}
    files = [(file, _flat(found[name])) for name, file in _FILES.items() if name in found]
    soundness = {name: found[name] for name in ("smoke", "tests", "sanitizer") if name in found}
    rows = [row._asdict() for row in verdicts(results)]
    return [*files, ("gpu_check.json", {"machine": _machine(results), "verdicts": rows, **soundness})]


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """bench_flow's parts stand at the top of its file, as where it was not run by the check."""
    flow = "weights" in result and "cases" in result
    return {**{k: v for k, v in result.items() if k != "cases"}, **result["cases"]} if flow else result


def _machine(results: Results) -> dict[str, Any]:
    parts = (part.get("result", {}).get("machine") for part in results["parts"].values())
    return next((machine for machine in parts if machine), {})


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


if __name__ == "__main__":
    main()
