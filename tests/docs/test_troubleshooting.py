"""docs/troubleshooting.md quotes messages as the code says them."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import ROOT

PAGE = ROOT / "docs/troubleshooting.md"
ROWS = [line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| ")]
MESSAGES = [quoted for row in ROWS for quoted in re.findall(r"`([^`]+)`", row) if quoted.count(" ") >= 2]


@pytest.fixture(scope="module")
def said() -> str:
    """All source, texts that are written over several lines joined."""
    files = [file for folder in ("pipeline", "raftline", "stages") for file in sorted((ROOT / folder).rglob("*.py"))]
    source = "\n".join(file.read_text() for file in files)
    return re.sub(r'"\s*\n\s*f?"', "", source)


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_stands_in_the_code(said, message):
    for part in (part.strip(" :;,") for part in message.split("...")):
        found = part in said or part.replace("{", "{{").replace("}", "}}") in said
        assert found, f"no error says {part!r}"


def test_the_page_quotes_messages():
    assert len(MESSAGES) > 30
