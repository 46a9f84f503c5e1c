"""What the files of a batch are called, and which of them are finished."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.redaction import redact
from pipeline.remote.urls import is_remote, stem
from raftline.cli.batch.rules import FoundFile

if TYPE_CHECKING:
    from pipeline.config import Plan

SUMMARY_SUFFIX = ".summary.json"
FINGERPRINT, REAL_PATH, EARLIER_OUTPUTS = "fingerprint", "real_path", "earlier_outputs"
"""What a file's summary has beside that of a run. The last: what other configurations wrote for it."""


@dataclass(frozen=True)
class BatchFile:
    """One file of a batch."""

    name: str
    """Of its source, and of its outputs."""
    path: str
    """As given or found; may be a URL."""
    folder: str = ""
    """Below the output directory, for its outputs."""
    version: str = ""
    """Of a file of a store: changes when the file does."""

    @property
    def display(self) -> str:
        """`path` without password."""
        return redact(self.path)

    @property
    def key(self) -> str:
        """Folder and name: no other file of the batch has the same."""
        return os.path.join(self.folder, self.name)

    @property
    def summary_name(self) -> str:
        """Name of its summary in its folder."""
        return self.name + SUMMARY_SUFFIX

    def summary(self, output: Path) -> dict[str, Any]:
        """Its summary below `output`; empty where there is none that can be read."""
        return read_summary(output / self.folder / self.summary_name)

    def fingerprint(self, plan: Plan) -> str:
        """Changes with the file and with everything in the configuration that its results depend on."""
        try:
            status = os.stat(self.path)
            file = [os.path.realpath(self.path), status.st_size, status.st_mtime_ns]
        except OSError:
            file = [self.path, self.version] if self.version else [self.path]
        stages = [(s.name, s.use, s.reads, s.options.model_dump(mode="json")) for s in plan.stages.values()]
        text = json.dumps([file, stages], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def name_files(found: Sequence[FoundFile], output: Path) -> list[BatchFile]:
    """A name for every file that no other has; what an earlier batch called a file in `output` stays its name."""
    from pipeline.config.names import distinct, file_name, source_name

    earlier: dict[str, dict[str, str]] = {}
    for folder in {file.folder for file in found}:
        earlier[folder] = dict(_named_before(output / folder))
    taken = {folder: set(names.values()) for folder, names in earlier.items()}
    files = []
    for file in found:
        known = earlier[file.folder]
        name = known.get(os.path.realpath(file.path)) or known.get(redact(file.path))
        if name is None:
            named = file_name(stem(file.path)) or "source" if is_remote(file.path) else source_name(file.path)
            name = distinct(named, taken[file.folder])
            taken[file.folder].add(name)
        files.append(BatchFile(name, file.path, file.folder, file.version))
    return files


def already_finished(file: BatchFile, plan: Plan, output: Path, has: Callable[[str], bool] = os.path.exists) -> bool:
    """Whether an earlier batch finished this very file with this configuration, and its outputs are still there.

    Args:
        file: With a summary below `output`, or without.
        plan: The configuration.
        output: Folder of the summaries.
        has: Whether an output is there.
    """
    summary = file.summary(output)
    source = summary.get("sources", {}).get(file.name)
    return (
        source is not None
        and summary.get("state") == "finished"
        and not summary.get("dead_letters")
        and summary.get(FINGERPRINT) == file.fingerprint(plan)
        and all(map(has, source["outputs"]))
    )


def as_given(path: str) -> str:
    """The path as it stands in a configuration: variables in the names of a store's objects are none."""
    return path.replace("${", "$${") if is_remote(path) else path


def outputs_in(summary: dict[str, Any]) -> set[str]:
    """All outputs that a summary knows of."""
    sources = summary.get("sources", {}).values()
    return {path for each in sources for path in each.get("outputs", ())} | {*summary.get(EARLIER_OUTPUTS, ())}


def read_summary(path: Path) -> dict[str, Any]:
    """A summary; empty where there is none, or a file of another program."""
    try:
        return parsed_summary(path.read_bytes())
    except OSError:
        return {}


def parsed_summary(content: bytes) -> dict[str, Any]:
    """A summary; empty for a file of another program."""
    try:
        summary = json.loads(content)
        sources = summary["sources"]
        ours = isinstance(sources, dict) and all(isinstance(source, dict) for source in sources.values())
    except (ValueError, KeyError, TypeError):
        return {}
    return summary if ours else {}


def _named_before(folder: Path) -> Iterator[tuple[str, str]]:
    """What the summaries in a folder call which file: its real path, or its URL without password, and its name."""
    for path in sorted(folder.glob(f"*{SUMMARY_SUFFIX}")):
        summary = read_summary(path)
        for name, source in summary.get("sources", {}).items():
            if name + SUMMARY_SUFFIX == path.name:
                yield summary.get(REAL_PATH) or source.get("input", ""), name
