"""The cameras in the run's configuration: what was changed while the run goes on is kept there for the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.config.loading import as_literal
from pipeline.errors import UserError
from pipeline.redaction import redact
from raftline.web.models import Done
from raftline.web.run_file import RunFile


class SourcesFile:
    """Keeps in the file what the run has taken already, which it then finds there without a difference."""

    def __init__(self, file: RunFile) -> None:
        self._file = file

    def put(self, name: str, input: str, done: str) -> Done:
        """Keep a camera under its name with this address. `done` is what the run said of it."""

        def change(document: Any) -> None:
            section = _sources(document).setdefault(name, CommentedMap())
            section["input"] = DoubleQuotedScalarString(as_literal(input))

        is_secret = redact(input) != input
        kept = "kept in {file}" + (", with its password: nobody else on this machine can read it now" * is_secret)
        return self._kept(done, change, is_secret, kept, "it is watched so until the run ends")

    def remove(self, name: str, done: str) -> Done:
        """Take a camera out."""

        def change(document: Any) -> None:
            _sources(document).pop(name, None)

        return self._kept(done, change, False, "taken out of {file}", "the next run watches it again")

    def _kept(self, done: str, change: Callable[[Any], None], private: bool, kept: str, otherwise: str) -> Done:
        try:
            file = self._file.path()
            self._file.change(change, checked=True, private=private)
        except UserError as error:
            return Done(remark=done, warning=f"{otherwise}: {redact(error)}")
        return Done(remark=f"{done}; {kept.format(file=file.name)}")


def _sources(document: Any) -> Any:
    if not document.get("sources"):
        document.pop("sources", None)
        document.insert(0, "sources", CommentedMap())  # behind the last key stand the comments of what follows
    return document["sources"]
