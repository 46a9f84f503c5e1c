"""Results by case in a file that is written after each: what is cut or crashes loses one case."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

LOST_DEVICE = 3
"""Exit code of a part that has to go on in a new process, since the GPU takes no more work from this one."""
_LOST = ("cuda error", "illegal memory access", "cudaerror", "cuda_error", "device-side assert")


class CaseFile:
    """The results of one part. Cases that an earlier process has finished are not run again.

    Args:
        path: of the file; where it is there, it is gone on with.
        **head: what stands beside the cases.
    """

    def __init__(self, path: Path, **head: Any) -> None:
        self._path = path
        earlier = json.loads(path.read_text()) if path.is_file() else {}
        self.content: dict[str, Any] = {"cases": {}, "failed": {}, "seconds": {}, **earlier, **head}
        crashed = self.content.pop("begun", None)
        if crashed is not None:
            self.content["failed"][crashed] = "its process ended without a word, or was stopped"
        self._write()

    def run(self, name: str, measure: Callable[[], Any]) -> Any:
        """The case's result; None where it failed, now or before.

        Raises:
            SystemExit: the device is lost; the next process goes on with the next case.
        """
        if name in self.content["failed"]:
            return None
        if name not in self.content["cases"]:
            self.content["begun"] = name
            self._write()
            begin = time.monotonic()
            try:
                self.content["cases"][name] = measure()
            except Exception as error:
                self._fail(name, error)
            self.content.pop("begun", None)
            self.content["seconds"][name] = round(time.monotonic() - begin, 2)
            self._write()
            print(f"{name}: {self.content['failed'].get(name) or self.content['cases'][name]}", flush=True)
        return self.content["cases"].get(name)

    def _fail(self, name: str, error: Exception) -> None:
        traceback.print_exc()
        self.content["failed"][name] = f"{type(error).__name__}: {error}"[:2000]
        if any(words in str(error).lower() for words in _LOST):
            self.content.pop("begun", None)
            self._write()
            raise SystemExit(LOST_DEVICE) from error

    def _write(self) -> None:
        aside = self._path.with_suffix(".part")
        aside.write_text(json.dumps(self.content, indent=1) + "\n")
        os.replace(aside, self._path)
