"""From errors to one clear message and an exit code: 2 for the user's mistake, 1 for ours, 130 for Ctrl-C."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from pipeline.errors import RaftlineError, UserError
from pipeline.redaction import log_redacted, redact

P = ParamSpec("P")
R = TypeVar("R")

USER_MISTAKE = 2
OUR_FAULT = 1
INTERRUPTED = 130

_DEBUG = "RAFTLINE_DEBUG"


def show_tracebacks(debug: bool) -> bool:
    """Callback of ``--debug``: tracebacks are shown, and workers log more."""
    if debug:
        os.environ[_DEBUG] = "1"
        os.environ.setdefault("RAFTLINE_LOG", "INFO")
    return debug


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """A command whose errors end the program as this module says."""

    @functools.wraps(command)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        log_redacted()
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt:
            say_error("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.Abort):
            raise
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(OUR_FAULT) from None
        except Exception as error:
            _show_traceback()
            say_error(in_words(error))
            raise typer.Exit(exit_code(error)) from None

    return wrapped


def in_words(error: BaseException) -> str:
    """What an error says to the user, without passwords."""
    if isinstance(error, RaftlineError):
        return redact(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return redact(f"a fault of raftline: {type(error).__name__}: {error}{where}; --debug shows how it came to that")


def exit_code(error: BaseException) -> int:
    """`UserError` 2, every other 1."""
    return USER_MISTAKE if isinstance(error, UserError) else OUR_FAULT


def say_error(text: str) -> None:
    """On stderr, plain, so that it can be searched for."""
    print(f"error: {text}", file=sys.stderr, flush=True)


def _show_traceback() -> None:
    if os.environ.get(_DEBUG):
        print(redact(traceback.format_exc()), file=sys.stderr)
