"""A YAML file -> `TrainOptions`, and pydantic's errors as sentences: file, key, what was found, what is allowed."""

import dataclasses
import difflib
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError

from raftline.training.options import TrainOptions

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

RENAMED = {
    "lead_in": "burn_in",
    "synthetic.damage": "degradations",
    "warm_start.chosen": "adaptive",
}
"""Key paths of older files -> the last key's name today. They are read, with a warning."""

_PLAIN = {
    "bool": r"true|True|TRUE|false|False|FALSE",
    "null": r"~|null|Null|NULL|",
    "merge": r"<<",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
}
"""What is something else than text in YAML 1.2, as in the configurations of pipelines, of which the library knows
nothing; in the order in which it is tried. PyYAML reads 1.1, where `off` is false, 010 is eight and 4e-4 is text."""

_log = logging.getLogger(__name__)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}


for _name, _pattern in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), None)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))


class OptionsError(ValueError):
    """A setting that cannot be used; the message gives file, key, what was found and what is allowed."""


def load_options(path: Path, *more: Path) -> TrainOptions:
    """Read a YAML file, with the files in `more` laid over it, the last one on top.

    Raises:
        OptionsError: see `read_values` and `check_values`.
    """
    values: dict[str, Any] = {}
    for file in (path, *more):
        values = _laid_over(values, read_values(file))
    return check_values(values, str(more[-1] if more else path))


def read_values(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file, unchecked; keys that were renamed have their new name.

    Raises:
        OptionsError: no such file, not YAML, or no mapping.
    """
    try:
        values = _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise OptionsError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise OptionsError(f"{path}: expected keys and values, found {type(values).__name__}")
    return _renamed(values, str(path))


def check_values(values: Mapping[str, Any], source: str) -> TrainOptions:
    """Nested keys and values -> options.

    Args:
        source: where they come from, for errors.

    Raises:
        OptionsError: every unknown or missing key, and every value of another type or out of range, a line each.
    """
    # As JSON, because strict checking then takes a list for a tuple and a text for a path, and nothing else for
    # anything else.
    document = json.dumps(_renamed(values, source), default=str)
    try:
        return TrainOptions.model_validate_json(document)
    except ValidationError as error:
        lines = [f"{source}: {_explained(details)}" for details in error.errors(include_url=False)]
        raise OptionsError("\n".join(lines)) from None


def _renamed(values: Mapping[str, Any], source: str, section: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{section}{key}"
        name = RENAMED.get(path, key)
        if name != key and name not in values:
            _log.warning("%s: %s is called %s%s now", source, path, section, name)
            key = name
        result[key] = _renamed(value, source, f"{path}.") if isinstance(value, Mapping) else value
    return result


def _laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings are merged key by key; everything else is replaced."""
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = _laid_over(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return result


def _explained(details: "ErrorDetails") -> str:
    place, kind = details["loc"], details["type"]
    key = ".".join(map(str, place))
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        return f"{key}: unknown key; allowed here: {', '.join(known)}{meant}"
    if kind == "missing":
        return f"{key}: missing, and it has no default"
    if kind == "value_error":  # a check of ours, whose message begins with the key
        said = details["msg"].removeprefix("Value error, ")
        return f"{key}.{said}" if key else said
    return f"{key}: found {details['input']!r}; allowed: {details['msg'].removeprefix('Input should be ')}"


def _keys_at(place: Iterable[int | str]) -> list[str]:
    kind: Any = TrainOptions
    for name in place:
        kind = kind.model_fields[name].annotation
    if issubclass(kind, BaseModel):
        return list(kind.model_fields)
    return [field.name for field in dataclasses.fields(kind)]
