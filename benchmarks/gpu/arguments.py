"""The arguments that every part takes."""

from __future__ import annotations

import argparse
from pathlib import Path


def parse(description: str | None, arguments: list[str] | None = None) -> argparse.Namespace:
    """``--device``, ``--tiny``, ``--json`` and ``--keep``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--tiny", action="store_true", help="the smallest sizes: shows that every line runs, no more")
    parser.add_argument("--json", type=Path, required=True, help="results; gone on with where it is there")
    parser.add_argument("--keep", type=Path, default=Path(), help="folder for what else is worth keeping")
    return parser.parse_args(arguments)
