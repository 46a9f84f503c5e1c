"""Which files raftline wrote itself, in this batch's output directory or an earlier one."""

from __future__ import annotations

import os
import re
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.remote.urls import is_remote

if TYPE_CHECKING:
    from pipeline.config import Plan


class OwnOutputs:
    """Tells outputs from inputs, by their names and by the summaries beside them.

    Args:
        output: The output directory, or its URL.
        plan: Its stages' option `path` says what they write.
    """

    def __init__(self, output: str | Path, plan: Plan) -> None:
        self._output = _real(str(output))
        paths = [(stage.name, getattr(stage.options, "path", None)) for stage in plan.stages.values()]
        self._patterns = [_pattern(path, name) for name, path in paths if isinstance(path, str)]
        self._recorded: set[str] = set()

    def wrote(self, path: str, only_here: bool = False) -> bool:
        """Whether raftline wrote this file.

        Args:
            path: Of the file, or its URL.
            only_here: Ask for what this configuration writes into the output directory, and nothing else.
        """
        real = _real(path)
        below = os.path.relpath(real, self._output)
        if not below.startswith(os.pardir) and any(pattern.fullmatch(below) for pattern in self._patterns):
            return True
        return not only_here and real in self._recorded

    def look_into(self, folder: str) -> None:
        """Learn from the summaries in a folder what lies in and below it."""
        from raftline.cli.batch.files import read_summary

        with os.scandir(folder) as entries:
            summaries = [entry.path for entry in entries if entry.name.endswith("summary.json")]
        for summary in summaries:
            self.learn(folder, summary, read_summary(Path(summary)))

    def learn(self, folder: str, path: str, summary: dict[str, Any]) -> None:
        """Learn from one summary, which lies in this folder under this path."""
        from raftline.cli.batch.files import outputs_in

        outputs = outputs_in(summary)
        for each in (*outputs, path) if outputs else ():
            # Listed as seen from where that run was started; how it ends is the same from here.
            parts = Path(each).parts
            ends = (os.path.join(folder, *parts[-count:]) for count in range(1, len(parts) + 1))
            self._recorded.update(map(_real, ends))


def _real(path: str) -> str:
    return path if is_remote(path) else os.path.realpath(path)


def _pattern(template: str, stage: str) -> re.Pattern[str]:
    """Matches the files of a template, in any folder."""
    expression = "(?:.*/)?"
    for text, name, _, _ in string.Formatter().parse(template):
        expression += re.escape(text)
        if name is not None:
            expression += {"stage": re.escape(stage), "source": r"[^/]+"}.get(name, r"\d+")
    return re.compile(expression)
