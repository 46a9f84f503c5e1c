"""What the site adds to the pages in this folder: two files of the repository's root, and links that lead out of it."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
ROOT_PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
"""Files of the root, and the pages that they become."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add the pages that are made of files of the root."""
    for name, page in ROOT_PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Let links work on the site as they do in the repository."""
    source = page.file.src_uri
    folder = "" if source in ROOT_PAGES.values() else posixpath.dirname(f"docs/{source}")

    def on_site(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if not (ROOT / path).exists():
            return link[0]
        if path in ROOT_PAGES:
            path = f"docs/{ROOT_PAGES[path]}"
        if not path.startswith("docs/"):
            return text if path in text else f"{text} (`{path}`)"
        target = posixpath.relpath(path, posixpath.dirname(f"docs/{source}"))
        return f"{image}[{text}]({target}{anchor or ''})"

    return _LINK.sub(on_site, markdown)
