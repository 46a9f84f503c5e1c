"""Start a module of ours as a program of its own."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_TEXT = """
import sys
root = sys.argv.pop(1)
sys.path[:1] = [] if root in sys.path else [root]
from {module} import main
sys.exit(main())
"""
"""Not ``-m``, which looks into the current directory first: a folder `pipeline` there would be taken for ours."""


def own_program(module: str) -> list[str]:
    """The command line that calls `main` of a module, which finds its arguments in ``sys.argv[1:]``."""
    return [sys.executable, "-c", _TEXT.format(module=module), str(_ROOT)]
