"""Change a YAML file as a person would: comments, order and quotes stay, and nothing wrong is ever saved."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import ConfigError, OutputError

_WIDTH = 4096
"""Lines are not wrapped anew."""
_OWNER = 0o700


def edited(file: Path, change: Callable[[Any], None], check: Callable[[Path], object], private: bool = False) -> None:
    """Change a file in place, if what comes of it is right.

    Args:
        file: The YAML file.
        change: Changes the document, a mapping.
        check: Raises `ConfigError` if the file at a path is wrong; it lies beside the file, under another name.
        private: From now on its owner alone may read it.

    Raises:
        ConfigError: If the file cannot be read, or would be wrong; nothing has changed then.
        OutputError: If it cannot be written.
    """
    editor = YAML()  # its round trip knows no tags of Python
    editor.preserve_quotes, editor.width = True, _WIDTH
    try:
        document = editor.load(file.read_text(encoding="utf-8"))
        change(document)
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise ConfigError(f"{file}: cannot be changed: {error}") from None
    text = io.StringIO()
    editor.dump(document, text)
    target = file.resolve()  # a link stays one
    draft = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        mode = stat.S_IMODE(target.stat().st_mode)
        draft.touch(mode=mode & _OWNER if private else mode)
        draft.write_text(text.getvalue(), encoding="utf-8")
        check(draft)
        os.replace(draft, target)
    except OSError as error:
        raise OutputError(f"{file}: cannot be written: {error.strerror or error}; check the permissions") from error
    finally:
        draft.unlink(missing_ok=True)
