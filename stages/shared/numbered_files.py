"""One file per frame, named by the frame's index."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.stage import Context, Output
from stages.shared.name_templates import check_fields, check_suffix
from stages.shared.output_errors import writing


def check_template(template: str, suffixes: tuple[str, ...]) -> str:
    """Return the template if it names a file per index with one of the suffixes; raise ValueError if not."""
    lost = "all frames would be written to one file; add {index:06d}"
    check_fields(template, ("index", "source", "stage"), "index", lost)
    return check_suffix(template, *suffixes)


class NumberedFiles:
    """Writes the numbered files of one source. Each appears complete or not at all.

    A file that is written again, as happens after a crash, replaces the earlier one.
    """

    def __init__(self, context: Context, template: str) -> None:
        self._context = context
        self._template = template
        self.first: int | None = None
        self.last: int | None = None

    def write(self, index: int, write: Callable[[Path], object]) -> None:
        """Write one file.

        Args:
            index: of the frame.
            write: called with the path to write to; the file gets its final name afterwards.

        Raises:
            OutputError: the file cannot be written.
        """
        output = self._output(index)
        with writing(output.path):
            write(output.part)
        output.finish()
        self.first = index if self.first is None else min(self.first, index)
        self.last = index if self.last is None else max(self.last, index)

    def discard(self) -> None:
        """Delete what was written."""
        if self.first is not None and self.last is not None:
            for index in range(self.first, self.last + 1):
                self._output(index).path.unlink(missing_ok=True)

    def remove_rest_of_earlier_run(self) -> None:
        """Delete the files after the last index, left by a longer run before this one."""
        index = 0 if self.last is None else self.last + 1
        while (path := self._output(index).path).exists():
            path.unlink()
            index += 1

    def snapshot(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last}

    def restore(self, snapshot: Any) -> None:
        self.first, self.last = snapshot["first"], snapshot["last"]

    def _output(self, index: int) -> Output:
        # The context fills in the other two fields.
        return self._context.output(self._template.format(index=index, source="{source}", stage="{stage}"))
