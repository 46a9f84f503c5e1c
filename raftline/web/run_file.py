"""The configuration file of the run that the page watches: changed only if it is right afterwards."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.config import load_config
from pipeline.errors import ConfigError
from raftline.shipped import FOLDER
from raftline.web.watched_run import WatchedRun
from raftline.web.yaml_edit import edited

_CHECK_SECONDS = 60.0
"""A check imports every stage, which takes seconds on a small machine. Chosen by hand."""


class RunFile:
    """Changes come one after another, and the run takes them in while it goes on."""

    def __init__(self, run: WatchedRun) -> None:
        self._run = run
        self._lock = threading.Lock()

    def path(self) -> Path:
        """Raises `ConfigError` where it cannot be changed; the message says why."""
        run = self._run.active()
        if run is None or run.file is None or not run.file.is_file():
            raise ConfigError("the configuration of this run is not on this machine, or the run has ended")
        if run.file.resolve().is_relative_to(FOLDER.resolve()):
            raise ConfigError(
                f"this run uses the configuration {run.file.stem!r} that comes with raftline, which stays as it is; "
                f"copy it with raftline configs copy {run.file.stem}, and run the copy"
            )
        return run.file

    def change(self, change: Callable[[Any], None], *, checked: bool = False, private: bool = False) -> None:
        """Change the file, if what comes of it is right; its comments stay.

        Args:
            change: Changes the document, a mapping of ruamel.yaml's.
            checked: The run has taken the change already, so that its plug-ins are not asked again, in seconds.
            private: There is a secret in it now: nobody but its owner may read it from now on.

        Raises:
            ConfigError: If it cannot be changed, or would be wrong.
            OutputError: If it cannot be written.
        """
        file, check = self.path(), _check_keys if checked else _check
        with self._lock:
            edited(file, change, lambda draft: check(draft, file), private)


def _check_keys(draft: Path, file: Path) -> None:
    try:
        load_config(draft)
    except ConfigError as error:
        raise _refusal(str(error), draft, file) from None


def _check(draft: Path, file: Path) -> None:
    """The same check as before a run, in a process of its own: it imports every stage."""
    command = [sys.executable, "-m", "raftline", "validate", str(draft)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ConfigError("the check of the configuration took too long; try again") from None
    if done.returncode:
        raise _refusal(done.stderr.strip().removeprefix("error: "), draft, file)


def _refusal(said: str, draft: Path, file: Path) -> ConfigError:
    why = said.replace(str(draft), file.name) or "the configuration would be wrong"
    return ConfigError(f"nothing was saved: {why}")
