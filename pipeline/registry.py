"""Find a plug-in's class by its name in the configuration. The pipeline's only dynamic import."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from pydantic.errors import PydanticUserError

from pipeline import plugin_files
from pipeline.errors import PluginError
from pipeline.messages import MESSAGE_TYPES, EndOfStream, Gap
from pipeline.stage import ACCURACIES, Options, Source, Stage

ENTRY_POINT_GROUP = "raftline.stages"
RENAMED = {"retained": "unacked_window", "begin_together": "prepare_batch"}
"""Members of `Stage` by an earlier name: never called any more, so a plug-in that defines one would lose messages."""

PluginClass = type[Source] | type[Stage]


def load(use: str) -> PluginClass:
    """Import a plug-in.

    Args:
        use: ``module:Class``, ``path/to/file.py:Class``, or a name in the entry-point group ``raftline.stages``.

    Raises:
        PluginError: If the class cannot be imported, does not exist, or is not a usable `Source` or `Stage`.
    """
    from_file = plugin_files.split(use)
    if from_file is not None:
        module, class_name = _import_file(from_file[0], use), from_file[1]
        return _checked(_attribute(module, class_name, use), use)
    module_name, colon, class_name = use.partition(":")
    if not colon:
        module_name, _, class_name = _entry_point(use).partition(":")
    if not module_name or not class_name:
        raise PluginError(f"{use!r} names no class: write module:Class, such as stages.flow:OpticalFlow")
    module = _import(module_name, use)
    return _checked(_attribute(module, class_name, use), use)


def names() -> dict[str, str]:
    """Map the entry-point name of every installed plug-in to ``module:Class``, sorted by name."""
    points = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    return dict(sorted((point.name, point.value) for point in points))


def add_search_path(directories: Iterable[str | Path]) -> None:
    """Make modules in `directories` importable. They come last, so that they shadow nothing that is installed."""
    for directory in directories:
        entry = str(Path(directory).resolve())
        if entry not in sys.path:
            sys.path.append(entry)


def load_module(module_name: str) -> ModuleType:
    """Import a module, also from a folder on the search path named as a package elsewhere, such as `stages`."""
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        package = sys.modules.get(module_name.partition(".")[0])
        if error.name != module_name or package is None or not hasattr(package, "__path__"):
            raise
        package.__path__ = pkgutil.extend_path(list(package.__path__), package.__name__)
        return importlib.import_module(module_name)


def _entry_point(name: str) -> str:
    known = names()
    if name in known:
        return known[name].partition("[")[0].strip()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "write module:Class, such as my_package.my_module:MyStage"
    listed = ", ".join(known) or "none is installed"
    raise PluginError(f"no stage is called {name!r} (entry-point group {ENTRY_POINT_GROUP}: {listed}); {hint}")


def _import(module_name: str, use: str) -> ModuleType:
    try:
        return load_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(missing + "."):
            raise PluginError(
                f"cannot import {use!r}: there is no module {missing!r}. Install it, or put it beside the "
                "configuration file or into the current directory"
            ) from error
        raise PluginError(_import_failure(module_name, use, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plug-in may even call sys.exit
        raise PluginError(_import_failure(module_name, use, error)) from error


def _import_file(file: str, use: str) -> ModuleType:
    try:
        return plugin_files.load(file)
    except PluginError as error:
        raise PluginError(f"cannot import {use!r}: {error}") from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(_import_failure(str(Path(file).resolve()), use, error)) from error


def _import_failure(module_name: str, use: str, error: BaseException) -> str:
    said = str(error)
    if isinstance(error, SyntaxError) and error.filename:
        where, said = f"{error.filename}:{error.lineno}", error.msg
    else:
        where = _own_line(module_name, error)
    hint = ""
    if isinstance(error, PydanticUserError):
        said = error.message.partition(";")[0] + "; write `name: type = value`, as in gain: float = 1.5"
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"; {plugin_files.how_to_install([error.name.partition('.')[0]])}, or the package that it is part of"
    return f"cannot import {use!r}: {type(error).__name__}: {said} (at {where}){hint}"


def _own_line(module_name: str, error: BaseException) -> str:
    """``file:line`` of the plug-in's own code that raised `error`; the innermost line if that cannot be found."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [f for f in frames if not f.filename.startswith("<frozen") and f.filename != __file__]
    own = [f for f in frames if f.filename == _file_of(module_name)]
    frame = (own or [f for f in frames if "importlib" not in f.filename] or frames)[-1:]
    return f"{frame[0].filename}:{frame[0].lineno}" if frame else module_name


def _file_of(module_name: str) -> str | None:
    if module_name.endswith(".py"):
        return module_name
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


def _attribute(module: ModuleType, class_name: str, use: str) -> object:
    found = getattr(module, class_name, None) if class_name else None
    if found is not None:
        return found
    classes = [
        name
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, (Stage, Source)) and value.__module__ == module.__name__
    ]
    near = difflib.get_close_matches(class_name, classes, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    what = f"has no class {class_name!r}" if class_name else "is a file, and no class in it is named: write FILE:CLASS"
    raise PluginError(
        f"{use!r}: {module.__name__} ({module.__file__}) {what}; its stages: {', '.join(classes) or 'none'}{hint}"
    )


def _checked(found: object, use: str) -> PluginClass:
    if not inspect.isclass(found) or not issubclass(found, (Stage, Source)):
        raise PluginError(
            f"{use!r} is not a stage: found {found!r}, expected a subclass of pipeline.stage.Stage or Source"
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise PluginError(f"{use!r} cannot be used: it does not implement {missing}")
    if not (inspect.isclass(found.Options) and issubclass(found.Options, Options)):
        raise PluginError(f"{use!r}: its Options is {found.Options!r}, expected a subclass of pipeline.stage.Options")
    for old, new in RENAMED.items():
        if hasattr(found, old):
            raise PluginError(f"{use!r} defines {old!r}, which is now called {new!r}: rename it")
    if issubclass(found, Stage):
        _check_declarations(found, use)
    return found


def _check_declarations(stage: type[Stage], use: str) -> None:
    """`reads`, `writes` and the rest are what `Stage` says, which Python itself does not check."""
    reads, writes = stage.reads, stage.writes
    if inspect.isclass(reads):
        raise PluginError(f"{use!r}: reads: found a class alone; write a tuple: reads = ({_listed(reads)},)")
    if not reads:
        raise PluginError(f"{use!r} declares no message class in `reads`, such as reads = (Flow,)")
    if not isinstance(reads, tuple) or any(each not in MESSAGE_TYPES for each in reads):
        raise PluginError(f"{use!r}: reads: found {_listed(reads)}; allowed: a tuple of {_listed(MESSAGE_TYPES)}")
    written = tuple(each for each in MESSAGE_TYPES if each not in (Gap, EndOfStream))
    if writes is not None and writes not in written:
        alone = isinstance(writes, (tuple, list)) and tuple(writes) in {(each,) for each in written}
        hint = f"; write the class alone: writes = {_listed(writes)}" if alone else ""
        raise PluginError(f"{use!r}: writes: found {_listed(writes)}; allowed: None or one of {_listed(written)}{hint}")
    if isinstance(stage.needs, str):
        raise PluginError(f"{use!r}: needs: found text; write a set: needs = frozenset({{{stage.needs!r}}})")
    if stage.accuracy not in ACCURACIES:
        raise PluginError(f"{use!r}: accuracy: found {stage.accuracy!r}, expected one of {', '.join(ACCURACIES)}")


def _listed(found: object) -> str:
    if isinstance(found, (tuple, list)):
        return ", ".join(_listed(each) for each in found) or "nothing"
    return found.__name__ if inspect.isclass(found) else repr(found)
