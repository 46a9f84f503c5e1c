"""Load a configuration: read the YAML, apply the command line, fill in the environment, check the schema."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from pipeline import plugin_files
from pipeline.config.explain import explain
from pipeline.config.names import distinct, source_name
from pipeline.config.overrides import Keys, apply_override
from pipeline.config.schema import Config, origin_of
from pipeline.config.yaml_file import read_configuration
from pipeline.errors import ConfigError

_VARIABLE = re.compile(r"\$(?P<escape>\$)?\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
_USER_INFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*$")


def load_config(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    inputs: Sequence[str] = (),
    output: Path | None = None,
    redis_url: str | None = None,
    names: Sequence[str] | None = None,
) -> Config:
    """Load the configuration in a file and apply the command line to it.

    ``${VAR}`` in any text is filled in from the environment; ``$${VAR}`` stands for the literal ``${VAR}``. So does
    ``${VAR}`` in one of `inputs` that is the name of a file as it stands.

    Args:
        path: The YAML file.
        overrides: ``KEY.PATH=VALUE``, with the value in YAML.
        inputs: Paths, URLs or devices that replace all sources. Each is named after its file.
        output: Replaces the output directory.
        redis_url: Replaces the URL of the Redis server.
        names: Names for `inputs`, instead of those of the files.

    Raises:
        ConfigError: If anything is wrong, with every mistake on a line of its own.
    """
    path = Path(path)
    data = read_configuration(path)
    origins: dict[Keys, str] = {}
    for override in overrides:
        origins[apply_override(data, override)] = "--set"
    if inputs:
        named = zip(names, inputs, strict=True) if names else _named(inputs)
        data["sources"] = {name: {"input": _literal(given)} for name, given in named}
        origins[("sources",)] = "-i"
    if output is not None:
        data["output"] = str(output)
        origins[("output",)] = "-o"
    if redis_url is not None:
        section = data.get("redis") or {}
        data["redis"] = {**section, "url": redis_url} if isinstance(section, dict) else {"url": redis_url}
        origins[("redis", "url")] = "--redis"
    origin = partial(origin_of, origins, path)
    data = _located(filled(data, (), origin), lambda keys: path.parent if origin(keys) == str(path) else Path())
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, (), origin)) from None
    config._file, config._origins = path, origins
    return config


def filled(node: Any, keys: Keys, origin: Callable[[Keys], str]) -> Any:
    """`node` with every ``${VAR}`` filled in. `keys` and `origin` say where, for errors. Raises `ConfigError`."""
    if isinstance(node, Mapping):
        return {key: filled(value, (*keys, key), origin) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value, (*keys, str(index)), origin) for index, value in enumerate(node)]
    return fill_in(node, f"{origin(keys)}: {'.'.join(keys)}") if isinstance(node, str) else node


def fill_in(text: str, where: str) -> str:
    """`text` with every ``${VAR}`` filled in from the environment; percent-encoded in the user part of a URL.

    Raises:
        ConfigError: If a variable is not set; the message begins with `where`.
    """

    def value_of(match: re.Match[str]) -> str:
        if match["escape"]:
            return match[0][1:]
        value = os.environ.get(match["name"])
        if value is None:
            raise ConfigError(
                f"{where}: the environment variable {match['name']} is not set; "
                f"set it, or write $${{{match['name']}}} for the literal text"
            )
        in_user_info = _USER_INFO.search(text[: match.start()]) and "@" in text[match.end() :].partition("/")[0]
        return quote(value, safe="") if in_user_info else value

    return _VARIABLE.sub(value_of, text)


def as_literal(text: str) -> str:
    """What stands for `text` in a configuration, where ``${VAR}`` in it is no variable: `fill_in` gives it back."""
    return _VARIABLE.sub(lambda match: f"${match[0]}", text)


def _located(data: dict[str, Any], folder_of: Callable[[Keys], Path]) -> dict[str, Any]:
    """`data` with the files of plug-ins as absolute paths: relative ones lie beside what names them."""
    data = dict(data)
    for kind in ("stages", "sources"):
        if not isinstance(data.get(kind), dict):
            continue
        data[kind] = dict(data[kind])
        for name, section in data[kind].items():
            if isinstance(section, dict) and isinstance(section.get("use"), str):
                use = plugin_files.located(section["use"], folder_of((kind, name, "use")))
                data[kind][name] = {**section, "use": use}
    return data


def _named(inputs: Iterable[str]) -> Iterable[tuple[str, str]]:
    """A unique source name for every input."""
    names: dict[str, str] = {}
    for given in inputs:
        names[distinct(source_name(given), names)] = given
    return names.items()


def _literal(given: str) -> str:
    """An input as it stands in a configuration: in the name of a file that is there, ``${VAR}`` is no variable."""
    return as_literal(given) if os.path.lexists(given) else given
