"""Names of sources: made from what they read, and fit to be names of files."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.input_paths import STANDARD_INPUT, plain

MOST_CHARACTERS = 100
_MOST_BYTES = 150
"""Of a name in UTF-8. File systems allow 255 for the name of a file, and an output adds up to about 60, such as
``.stabilized.mp4.spool-0123456789abcdef.part``."""
_REFUSED = frozenset('/\\<>:"|?*')
"""Separators, and what file systems of Windows, memory cards and network shares refuse in a name."""
_UNPRINTABLE = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode's categories of control characters, undecodable bytes, and separators of lines and paragraphs."""


def check_source_name(name: str) -> str:
    """The name in Unicode's composed form (NFC).

    Raises:
        ValueError: If files cannot be named after it.
    """
    name = unicodedata.normalize("NFC", name)
    refused = any(map(_is_refused, name)) or not name.strip(".") or name != name.strip()
    if refused or not _is_short(name):
        raise ValueError(
            f"a name of 1 to {MOST_CHARACTERS} characters ({_MOST_BYTES} bytes), without "
            f"{' '.join(sorted(_REFUSED))} and control characters, without spaces at its ends, and not of dots alone"
        )
    return name


def source_name(given: str) -> str:
    """The name of a source with this input: its file name or the last part of its URL, as far as a file can have it.

    Letters stay as they are, in Unicode's composed form (NFC): ``clips/Überfahrt 2.mp4`` becomes ``Überfahrt 2``. What
    a name cannot have is replaced by ``_``, and so are dots at the begin, which would hide the outputs.
    """
    if given == STANDARD_INPUT:
        return "stdin"
    given = plain(given)
    if "://" in given:
        given = re.sub(r"\$\{\w*\}", "", given)  # a password from the environment
        text = unquote(Path(urlsplit(given).path).stem) or _host(given)
    else:
        path = Path(given)
        text = path.stem if path.suffix and not os.path.isdir(path) else path.resolve().name
    return file_name(text) or "source"


def file_name(text: str) -> str:
    """`text` as every file system can have it for a name, and not hidden; empty if nothing is left."""
    text = "".join("_" if _is_refused(each) else each for each in unicodedata.normalize("NFC", text)).strip()
    shown = text.lstrip(".")
    text = "_" * (len(text) - len(shown)) + shown
    while not _is_short(text) and text:
        text = text[:-1].rstrip()
    return text


def distinct(name: str, taken: Iterable[str]) -> str:
    """`name`, or with a number that makes it differ from those `taken`, also where a file system ignores case."""
    others = {each.casefold() for each in taken}
    numbered, number = name, 2
    while numbered.casefold() in others:
        numbered, number = f"{name}-{number}", number + 1
    return numbered


def _is_refused(character: str) -> bool:
    return character in _REFUSED or unicodedata.category(character) in _UNPRINTABLE


def _is_short(name: str) -> bool:
    return 1 <= len(name) <= MOST_CHARACTERS and len(name.encode(errors="replace")) <= _MOST_BYTES


def _host(given: str) -> str:
    return re.split(r"[/?#]", given.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
