"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """The page's path in the repository: the name of a test's case."""
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without code blocks and inline code, in which brackets are no links."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks in a language; an empty name is that of shell commands."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [code for found, code in fenced if found == language]


def anchors(page: Path) -> set[str]:
    """What links to a page may end in: its headings, as GitHub and MkDocs write them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        kept = re.sub(r"[^\w\s-]", "", heading.strip().lower())
        found.add(re.sub(r"[-\s]+", "-", kept))
    return found


def commands(page: Path) -> list[list[str]]:
    """The words of each `raftline` command in the page's shell blocks."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.startswith("raftline ")]
