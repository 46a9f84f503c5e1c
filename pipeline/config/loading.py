"""Read the YAML, lay the command line over it, fill in the environment, check it against the schema."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import yaml
from pydantic import ValidationError

from pipeline.config.explain import explain, found, nearest
from pipeline.config.schema import Config
from pipeline.errors import ConfigError

_VARIABLE = re.compile(r"\$(?P<escape>\$)?\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
_USER_INFO = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#\s]*$")

Keys = tuple[str, ...]


def load_config(
    path: str | Path,
    *,
    overrides: Sequence[str] = (),
    inputs: Sequence[str] = (),
    output: Path | None = None,
    redis_url: str | None = None,
    names: Sequence[str] | None = None,
) -> Config:
    """The configuration in the file at `path`, with the command line laid over it.

    `overrides` are ``key.path=value``, the value in YAML. `inputs` replace all sources; each is named after its file,
    or as `names` says.
    ``${VAR}`` in a text is filled in from the environment (``$${VAR}`` stands for itself). Raises `ConfigError`.
    """
    path = Path(path)
    data = _read(path)
    origins: dict[Keys, str] = {}
    for override in overrides:
        keys = lay_over(data, override)
        origins[keys] = "--set"
    if inputs:
        data["sources"] = {
            name: {"input": given} for name, given in (zip(names, inputs, strict=True) if names else _named(inputs))
        }
        origins[("sources",)] = "-i"
    if output is not None:
        data["output"] = str(output)
        origins[("output",)] = "-o"
    if redis_url is not None:
        section = data.get("redis") or {}
        data["redis"] = {**section, "url": redis_url} if isinstance(section, dict) else {"url": redis_url}
        origins[("redis", "url")] = "--redis"

    def origin(keys: Keys) -> str:
        longest = [origins[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in origins]
        return longest[0] if longest else str(path)

    data = _filled(data, (), origin)
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        raise ConfigError(explain(error, Config, (), origin)) from None
    config._file, config._origins = path, origins
    return config


class _Loader(yaml.SafeLoader):
    """YAML where a key stands once in a mapping, and whole numbers may be names."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        key = str(key) if type(key) is int else key
        if not isinstance(key, str):
            raise ConfigError(f"{_at(key_node.start_mark)}: a key must be text, found {found(key)}; put it in quotes")
        if key in result:
            raise ConfigError(f"{_at(key_node.start_mark)}: the key {key!r} stands there twice; keep one")
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def _at(mark: yaml.Mark) -> str:
    return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}"


def _parse(text: str, name: str) -> Any:
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
        raise ConfigError(f"{name}: nested too deep") from None
    finally:
        loader.dispose()


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        beside = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        hint = nearest(path.name, beside) or (f"; there are: {', '.join(beside)}" if beside else "")
        raise ConfigError(f"{path}: there is no such configuration file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"{path}: cannot read the configuration: {reason}") from None
    data = _parse(text, str(path))
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: found {found(data)}; a configuration is a mapping with at least the key 'stages'")
    return data


def lay_over(data: dict[str, Any], override: str, example: str = "stages.flow.options.iterations=8") -> Keys:
    """Set one value of `data` as ``key.path=value`` says, the value in YAML. Returns its keys. Raises `ConfigError`."""
    key_path, equals, text = override.partition("=")
    if not equals or not key_path.strip("."):
        raise ConfigError(f"--set {found(override)}: expected key.path=value, such as {example}")
    keys = _keys(data, key_path.strip())
    node = data
    for depth, key in enumerate(keys[:-1]):
        if depth == 1 and keys[0] == "stages" and key not in node:
            raise ConfigError(f"--set {key_path}: there is no stage {key!r}; the stages: {', '.join(node)}")
        if node.get(key) is None:
            node[key] = {}
        if not isinstance(node[key], dict):
            raise ConfigError(f"--set {key_path}: {'.'.join(keys[: depth + 1])} is {found(node[key])}, it has no keys")
        node = node[key]
    # A template such as {source}.mp4 would have to be quoted for YAML as well as for the shell.
    template = re.match(r"\{(source|stage)\}", text)
    node[keys[-1]] = text if template else _parse(text, f"--set {key_path}")
    return keys


def _keys(node: Any, key_path: str) -> Keys:
    """`key_path` split at its dots, save those that belong to a name that is there (``cam.1``)."""
    known = sorted(node, key=len, reverse=True) if isinstance(node, dict) else []
    for key in known:
        if key_path == key:
            return (key,)
        if key_path.startswith(f"{key}."):
            return (key, *_keys(node[key], key_path[len(key) + 1 :]))
    key, dot, rest = key_path.partition(".")
    return (key, *_keys({}, rest)) if dot else (key,)


def _filled(node: Any, keys: Keys, origin: Callable[[Keys], str]) -> Any:
    """`node` with ``${VAR}`` filled in. Into the user part of a URL a value goes percent-encoded."""
    if isinstance(node, Mapping):
        return {key: _filled(value, (*keys, key), origin) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, (*keys, str(index)), origin) for index, value in enumerate(node)]
    if not isinstance(node, str):
        return node

    def value_of(match: re.Match[str]) -> str:
        if match["escape"]:
            return match[0][1:]
        value = os.environ.get(match["name"])
        if value is None:
            raise ConfigError(
                f"{origin(keys)}: {'.'.join(keys)}: the environment variable {match['name']} is not set; "
                f"set it, or write $${{{match['name']}}} where the text itself is meant"
            )
        in_user_info = _USER_INFO.search(node[: match.start()]) and "@" in node[match.end() :].partition("/")[0]
        return quote(value, safe="") if in_user_info else value

    return _VARIABLE.sub(value_of, node)


def _named(inputs: Iterable[str]) -> Iterable[tuple[str, str]]:
    """A source name for every input: what the file or the URL's last part is called, made unique."""
    names: dict[str, str] = {}
    for given in inputs:
        stem = source_name(given)
        name, number = stem, 2
        while name in names:
            name, number = f"{stem}-{number}", number + 1
        names[name] = given
    return names.items()


def source_name(given: str) -> str:
    """The name that a source gets from its input: ``clips/Front door.mp4`` -> ``Front_door``."""
    if "://" in given:
        parts = urlsplit(_VARIABLE.sub("", given))
        text = Path(parts.path).stem or _host(given)
    else:
        path = Path(given)
        text = path.stem if path.suffix and not os.path.isdir(path) else path.resolve().name
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("._")
    return name[:100] or "source"


def _host(given: str) -> str:
    return re.split(r"[/?#]", given.partition("://")[2], maxsplit=1)[0].rpartition("@")[2].partition(":")[0]
