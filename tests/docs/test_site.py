"""The documentation builds as a site, without a warning."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

NEEDED = ("mkdocs", "material", "mkdocstrings", "mkdocstrings_handlers.python")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    missing = [name for name in NEEDED if not _is_installed(name)]
    if missing:
        words = f"the documentation is not built: {', '.join(missing)} not installed (pip install '.[docs]')"
        if os.environ.get("CI"):
            pytest.fail(words)
        pytest.skip(words)
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_page_is_there(site):
    pages = [page.relative_to(ROOT / "docs").with_suffix(".html") for page in (ROOT / "docs").rglob("*.md")]
    missing = [str(page) for page in pages if not (site / page).is_file()]
    assert not missing and (site / "changelog.html").is_file()


def test_the_api_pages_hold_signatures(site):
    assert "unacked_window" in (site / "api/stage.html").read_text()
    assert "grid_px" in (site / "api/messages.html").read_text()


def test_reading_it_fetches_nothing_from_another_host(site):
    fetched = re.compile(r"<(?:script|img|link)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]+")
    for page in site.rglob("*.html"):
        assert not fetched.findall(page.read_text()), page


def test_no_script_of_the_documentation_is_published(site):
    assert not list(site.rglob("*.py"))
