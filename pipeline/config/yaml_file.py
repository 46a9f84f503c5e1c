"""Read YAML strictly: no duplicate keys, no keys that are not text, and errors that name the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipeline.config.explain import found, nearest
from pipeline.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """YAML without duplicate keys, where a whole number may serve as a name."""


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
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}") from None
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {found(data)}; a configuration is a mapping with at least the key 'stages'")
    return data
