"""A plug-in in a single file: ``use: ./my_stage.py:MyStage``.

The file may say what it needs as any script may (PEP 723), before its imports::

    # /// script
    # dependencies = ["onnxruntime>=1.18"]
    # ///
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import shlex
import sys
import zlib
from pathlib import Path
from types import ModuleType

from pipeline.errors import PluginError

_SCRIPT = re.compile(r"^# /// script\s*$\n(?P<lines>(^#(| .*)$\n)+?)^# ///\s*$", re.MULTILINE)
_DEPENDENCIES = re.compile(r"^dependencies\s*=\s*\[(?P<listed>.*?)\]\s*$", re.MULTILINE | re.DOTALL)
_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def split(use: str) -> tuple[str, str] | None:
    """(file, class name) of a plug-in that is named by its file, None of any other."""
    file, _, class_name = use.rpartition(":")
    if file.endswith(".py"):
        return file, class_name
    return (use, "") if use.endswith(".py") else None


def located(use: str, folder: Path) -> str:
    """`use` with a relative file taken from `folder`; a plug-in that is not named by its file as it is."""
    parts = split(use)
    if parts is None:
        return use
    file, class_name = parts
    return f"{folder.resolve() / Path(file).expanduser()}:{class_name}"


def load(file: str) -> ModuleType:
    """Import a file, once. Modules beside it can be imported by it.

    Raises:
        PluginError: If it is not there, or what it says it needs is not installed.
        BaseException: Whatever it raises.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        beside = sorted(each.name for each in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise PluginError(f"there is no file {path}; Python files in its folder: {', '.join(beside) or 'none'}")
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    missing = not_installed(path)
    if missing:
        raise PluginError(f"{path.name} needs {', '.join(missing)}, not installed here; {how_to_install(missing)}")
    return _executed(path)


def not_installed(path: Path) -> list[str]:
    """What a file says it needs and this environment does not have; versions are left to pip."""
    missing = []
    for requirement in _needed(path):
        name = _DISTRIBUTION.match(requirement)
        try:
            importlib.metadata.distribution(name[0] if name else requirement)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement)
    return missing


def how_to_install(requirements: list[str]) -> str:
    """The command that installs them where raftline is installed."""
    return f"install with: {shlex.join([sys.executable, '-m', 'pip', 'install', *requirements])}"


def _needed(path: Path) -> list[str]:
    script = _SCRIPT.search(path.read_text(encoding="utf-8", errors="replace"))
    if script is None:
        return []
    plain = "".join(f"{line[2:]}\n" for line in script["lines"].splitlines())
    listed = _DEPENDENCIES.search(plain)
    return [one or other for one, other in _TEXT.findall(listed["listed"])] if listed else []


def _executed(path: Path) -> ModuleType:
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = path.stem if _is_free(path) else f"{path.stem}_{zlib.crc32(str(path).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "the loader of .py files"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_free(path: Path) -> bool:
    """Whether the file's name is that of no other module."""
    if path.stem in sys.modules:
        return False
    try:
        spec = importlib.util.find_spec(path.stem)
    except (ImportError, ValueError):
        return False
    return spec is None or spec.origin == str(path)
