"""``--set KEY.PATH=VALUE``: replace one value of a configuration."""

from __future__ import annotations

import re
from typing import Any

from pipeline.config.explain import found
from pipeline.config.yaml_file import parse_yaml
from pipeline.errors import ConfigError

Keys = tuple[str, ...]

EXAMPLE = "stages.flow.options.iterations=8"


def parse_override(override: str, example: str = EXAMPLE) -> tuple[str, Any]:
    """Split ``KEY.PATH=VALUE``.

    Returns:
        The key path, and the value read as YAML. A value that starts with ``{source}`` or ``{stage}`` is plain text:
        as YAML it would need quotes, in addition to those for the shell.

    Raises:
        ConfigError: If either part is missing or the value is not valid YAML.
    """
    key_path, equals, text = override.partition("=")
    key_path = key_path.strip()
    if not equals or not key_path.strip("."):
        raise ConfigError(f"--set {found(override)}: expected KEY.PATH=VALUE, such as {example}")
    is_template = re.match(r"\{(source|stage)\}", text)
    return key_path, text if is_template else parse_yaml(text, f"--set {key_path}")


def apply_override(data: dict[str, Any], override: str, example: str = EXAMPLE) -> Keys:
    """Set the value in `data`, creating sections on the way.

    Args:
        data: The configuration; changed.
        override: ``KEY.PATH=VALUE``, with the value in YAML.
        example: One that the error for a malformed override shows.

    Returns:
        The keys on the way to the value.

    Raises:
        ConfigError: If the override is malformed, names an unknown stage, or leads through a value without keys.
    """
    key_path, value = parse_override(override, example)
    keys = _keys(data, key_path)
    node = data
    for depth, key in enumerate(keys[:-1]):
        if depth == 1 and keys[0] == "stages" and key not in node:
            raise ConfigError(f"--set {key_path}: there is no stage {key!r}; the stages: {', '.join(node)}")
        if node.get(key) is None:
            node[key] = {}
        if not isinstance(node[key], dict):
            at = ".".join(keys[: depth + 1])
            raise ConfigError(f"--set {key_path}: {at} is {found(node[key])}, which has no keys")
        node = node[key]
    node[keys[-1]] = value
    return keys


def _keys(node: Any, key_path: str) -> Keys:
    """`key_path` split at its dots, except those inside a name that exists (``cam.1``)."""
    known = sorted(node, key=len, reverse=True) if isinstance(node, dict) else []
    for key in known:
        if key_path == key:
            return (key,)
        if key_path.startswith(f"{key}."):
            return (key, *_keys(node[key], key_path[len(key) + 1 :]))
    key, dot, rest = key_path.partition(".")
    return (key, *_keys({}, rest)) if dot else (key,)
