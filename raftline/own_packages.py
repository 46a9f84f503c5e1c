"""`pipeline` and `stages` are common names: how ours and a user's folders of these names live in one process.

Ours come first on the packages' search path, then theirs: `stages.decoder` is ours, `stages.mine` the user's, whoever
is imported first. What a user's ``__init__.py`` defines is found as well.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("pipeline", "stages")


def join() -> None:
    """Make both packages importable beside a user's.

    Where two modules have one name, ours is imported, with a warning; ImportError where theirs is loaded already.
    """
    for name in NAMES:
        loaded = sys.modules.get(name)
        theirs = list(_theirs(name))
        if loaded is None:
            loaded = _load_ours(name)
            _fall_back(loaded, theirs)
        folders = [folder for spec in theirs for folder in spec.submodule_search_locations or ()]
        present = [str(folder) for folder in getattr(loaded, "__path__", ())]
        _warn_of_hidden(name, folders)
        loaded.__path__ = list(dict.fromkeys([str(ROOT / name), *present, *folders]))
        _refuse_twins(name)


def _load_ours(name: str) -> ModuleType:
    sys.path.insert(0, str(ROOT))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT))


def _theirs(name: str) -> Iterator[ModuleSpec]:
    """The packages and modules of that name on the search path that are not ours."""
    for entry in sys.path:
        if Path(entry).resolve() != ROOT:
            spec = PathFinder.find_spec(name, [entry])
            if spec is not None and ROOT / name not in [
                Path(f).resolve() for f in spec.submodule_search_locations or ()
            ]:
                yield spec


def _fall_back(package: ModuleType, theirs: list[ModuleSpec]) -> None:
    """Run the user's own file of that name when something is asked of the package that ours does not have."""
    waiting = [spec for spec in theirs if spec.loader is not None and spec.origin is not None]

    def find(attribute: str) -> Any:
        while waiting and not attribute.startswith("__"):
            spec = waiting.pop(0)
            assert spec.loader is not None
            spec.loader.exec_module(package)
            if attribute in vars(package):
                return vars(package)[attribute]
        raise AttributeError(f"module {package.__name__!r} has no attribute {attribute!r}")

    if waiting:
        package.__getattr__ = find  # type: ignore[method-assign]


def _warn_of_hidden(name: str, folders: list[str]) -> None:
    ours = {path.stem for path in (ROOT / name).iterdir() if not path.name.startswith("_")}
    for folder in folders:
        hidden = sorted(ours & {path.stem for path in Path(folder).iterdir() if not path.name.startswith("_")})
        if hidden:
            warnings.warn(
                f"{folder}: raftline has modules of the names {', '.join(hidden)} in its package {name}, and these are "
                "the ones that are imported; rename yours",
                stacklevel=3,
            )


def _refuse_twins(name: str) -> None:
    for full_name, module in list(sys.modules.items()):
        path = ROOT.joinpath(*full_name.split("."))
        ours = path.is_dir() or path.with_suffix(".py").is_file()
        file = getattr(module, "__file__", None)
        if full_name.startswith(f"{name}.") and ours and file and ROOT not in Path(file).resolve().parents:
            raise ImportError(
                f"{full_name} is loaded from {file}, and raftline has a module of that name; rename yours, or the "
                f"folder {name}/ it lies in"
            )
