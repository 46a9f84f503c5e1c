"""Which files a batch has, what they are called, and which of them are finished."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import InputError
from pipeline.redaction import redact

if TYPE_CHECKING:
    from pipeline.config import Plan

VIDEO_SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg")
    + (".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv", ".y4m")
)
SUMMARY_SUFFIX = ".summary.json"
FINGERPRINT = "fingerprint"


@dataclass(frozen=True)
class BatchFile:
    """One file of a batch."""

    name: str
    """Of its source, and of its outputs."""
    path: str
    """As given or found; may be a URL."""

    @property
    def display(self) -> str:
        """`path` without password."""
        return redact(self.path)

    @property
    def summary_name(self) -> str:
        """Name of its summary in the output directory."""
        return self.name + SUMMARY_SUFFIX

    def summary(self, output: Path) -> dict[str, Any]:
        """Its summary in `output`; empty where there is none that can be read."""
        return _read(output / self.summary_name)

    def fingerprint(self, plan: Plan) -> str:
        """Changes with the file and with everything in the configuration that its results depend on."""
        try:
            status = os.stat(self.path)
            file = [os.path.realpath(self.path), status.st_size, status.st_mtime_ns]
        except OSError:
            file = [self.path]
        stages = [(s.name, s.use, s.reads, s.options.model_dump(mode="json")) for s in plan.stages.values()]
        text = json.dumps([file, stages], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def expand(inputs: list[str]) -> list[str]:
    """Files, folders and patterns -> files, each once, in order. Raises `InputError` for one that gives nothing."""
    found: dict[str, None] = {}
    for given in inputs:
        matches = _files_of(given)
        if not matches:
            raise InputError(
                f"{redact(given)}: no such file, no folder with videos in it ({', '.join(sorted(VIDEO_SUFFIXES))}), "
                "and no pattern that matches any"
            )
        found.update(dict.fromkeys(matches))
    return list(found)


def name_files(paths: list[str], output: Path) -> list[BatchFile]:
    """A name for every file that no other has; what an earlier batch called a file in `output` stays its name."""
    from pipeline.config import source_name

    earlier: dict[str, str] = {}
    for summary in sorted(output.glob(f"*{SUMMARY_SUFFIX}")):
        for name, source in _read(summary).get("sources", {}).items():
            if name + SUMMARY_SUFFIX == summary.name:
                earlier[source.get("input", "")] = name
    taken = set(earlier.values())
    files = []
    for path in paths:
        name = earlier.get(redact(path))
        if name is None:
            stem = name = source_name(path)
            number = 2
            while name in taken:
                name, number = f"{stem}-{number}", number + 1
            taken.add(name)
        files.append(BatchFile(name, path))
    return files


def already_finished(file: BatchFile, plan: Plan, output: Path) -> bool:
    """Whether an earlier batch finished this very file with this configuration, and its outputs are still there."""
    summary = file.summary(output)
    source = summary.get("sources", {}).get(file.name)
    return (
        source is not None
        and summary.get("state") == "finished"
        and not summary.get("dead_letters")
        and summary.get(FINGERPRINT) == file.fingerprint(plan)
        and all(Path(path).exists() for path in source["outputs"])
    )


def _files_of(given: str) -> list[str]:
    if "://" in given or os.path.isfile(given):
        return [given]
    if os.path.isdir(given):
        paths = (os.path.join(folder, name) for folder, _, names in os.walk(given) for name in names)
        return sorted(path for path in paths if Path(path).suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in glob.glob(given, recursive=True) if os.path.isfile(path))


def _read(path: Path) -> dict[str, Any]:
    try:
        summary = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}
