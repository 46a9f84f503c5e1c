"""Read YAML 1.2 strictly: no duplicate keys, no keys that are not text, and errors that name the place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.explain import found, nearest
from pipeline.errors import ConfigError

_CORE_SCHEMA = {
    "bool": ("tTfF", r"true|True|TRUE|false|False|FALSE"),
    "null": ("~nN", r"~|null|Null|NULL"),
    "int": ("-+0123456789", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": (
        "-+.0123456789",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
    ),
    "merge": ("<", r"<<"),
}
"""What plain text is something else than text, by the first characters it may have: the tags of YAML 1.2.2, section
10.3.2, in the order in which they are tried, and the merge key, which many files use."""


class _Loader(yaml.SafeLoader):
    """The values of YAML 1.2, without duplicate keys, where a whole number may serve as a name.

    PyYAML itself reads the values of YAML 1.1, for which ``off``, ``on``, ``no`` and ``yes`` are truth values, ``1e-3``
    is text, ``010`` is eight and ``12:30`` is 750.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # not those of YAML 1.1


for _name, (_first, _pattern) in _CORE_SCHEMA.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"(?:{_pattern})$"), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("$"), [""])


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, 0) if text[:2] in ("0o", "0x") else int(text)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        key = str(key) if type(key) is int else key
        if not isinstance(key, str):
            raise ConfigError(f"{_at(key_node.start_mark)}: a key must be text, found {found(key)}; put it in quotes")
        if key in result:
            raise ConfigError(f"{_at(key_node.start_mark)}: duplicate key {key!r}; keep one")
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _int)


def _at(mark: yaml.Mark) -> str:
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"


def parse_yaml(text: str, name: str) -> Any:
    """Parse one YAML document.

    Args:
        text: The document.
        name: File or argument that it comes from, for errors.

    Raises:
        ConfigError: If it is not valid.
    """
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not a text file ({error})") from None
    loader.name = name
    try:
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        place = _at(error.problem_mark) if error.problem_mark else name
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error.context}") from None
    except (ValueError, KeyError, AttributeError):  # how PyYAML says that a tag cannot hold its value: !!int x
        raise ConfigError(f"{name}: not valid YAML: a value does not fit the tag before it, such as !!int") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    finally:
        loader.dispose()


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a file whose top level is a mapping.

    Raises:
        ConfigError: If it cannot be read or is not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = nearest(path.name, beside) or (f"; this directory has: {', '.join(beside)}" if beside else "")
        raise ConfigError(f"{path}: no such configuration file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text; a video is given with -i"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}") from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {found(data)}; a configuration is a mapping with at least the key 'stages'")
    return data
