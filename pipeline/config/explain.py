"""Describe schemas in words, and turn pydantic's errors into sentences: the key, what was found, what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pipeline.redaction import HIDDEN, is_secret_name, redact

_MOST_LEVELS = 6
"""Enough for any configuration written by hand; only a bound on recursion."""
TYPE_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar of `known`; empty if none is similar."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def allowed(node: Mapping[str, Any]) -> str:
    """What a JSON schema node allows, in words, such as ``a whole number, at least 1``."""
    if "anyOf" in node:
        return " or ".join(dict.fromkeys(allowed(part) for part in node["anyOf"]))
    if "enum" in node:
        return "one of " + ", ".join(str(value) for value in node["enum"])
    if "const" in node:
        return str(node["const"])
    if node.get("type") == "array" and "prefixItems" in node:
        return f"a list of {len(node['prefixItems'])}: " + ", ".join(allowed(part) for part in node["prefixItems"])
    if node.get("type") == "array" and node.get("items"):
        return f"a list, each {allowed(node['items'])}" + _bounds(node)
    return TYPE_WORDS.get(str(node.get("type")), "any value") + _bounds(node)


def _bounds(node: Mapping[str, Any]) -> str:
    words = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "minLength": "at least {} long",
        "maxLength": "at most {} long",
        "minItems": "at least {} of them",
        "maxItems": "at most {} of them",
        "pattern": "matching {}",
    }
    return "".join(", " + text.format(node[key]) for key, text in words.items() if key in node)


def found(value: object, name: str = "") -> str:
    """A value as errors show it: shortened, with secrets hidden."""
    if is_secret_name(name):
        return HIDDEN
    if value is None:
        return "nothing (null)"
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, str):
        text = redact(value)
        return repr(text if len(text) <= 80 else text[:77] + "...")
    kinds = {dict: "a mapping", list: "a list"}
    return kinds.get(type(value), f"{type(value).__name__} {str(value)[:60]}")


def explain(
    error: ValidationError,
    model: type[BaseModel],
    prefix: tuple[str, ...],
    origin: Callable[[tuple[str, ...]], str],
) -> str:
    """Describe every mistake that pydantic found, one line each.

    Args:
        error: What pydantic raised.
        model: The model that it validated.
        prefix: Key path of the validated value.
        origin: Returns where the value at a key path came from: the file, or an argument of the command line.
    """
    schema = schema_of(model)
    lines = []
    for details in error.errors(include_url=False):
        keys, sentence = _explain_one(details, schema)
        path = prefix + keys
        lines.append(f"{origin(path)}: {'.'.join(path) or 'the file'}: {sentence}")
    return "\n".join(dict.fromkeys(lines))


def _explain_one(details: ErrorDetails, schema: dict[str, Any]) -> tuple[tuple[str, ...], str]:
    node, keys = _walk(details["loc"], schema)
    name = keys[-1] if keys else ""
    kind = details["type"]
    if kind == "extra_forbidden":
        parent, _ = _walk(details["loc"][:-1], schema)
        known = list(parent.get("properties", {}))
        return keys, f"unknown key; allowed here: {', '.join(known) or 'no keys'}{nearest(name, known)}"
    if kind == "missing":
        return keys, f"this key is missing; expected {_expected(node)}"
    if kind == "string_unicode":
        return keys, f"found {details['input']!a}; allowed: text in UTF-8; rename the file or folder"
    if "[key]" in details["loc"]:
        return keys, f"found {found(details['input'])}; allowed: {_said(details)}"
    if kind not in ("value_error", "assertion_error"):
        return keys, f"found {found(details['input'], name)}; allowed: {_expected(node)}"
    said = _said(details)
    says_what_was_found = isinstance(details["input"], Mapping) or ", found " in said
    return keys, said if says_what_was_found else f"found {found(details['input'], name)}; allowed: {said}"


def _said(details: ErrorDetails) -> str:
    """The message of a validator's own ValueError."""
    return details["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")


def _expected(node: Mapping[str, Any]) -> str:
    description = node.get("description")
    return allowed(node) + (f" ({description})" if description else "")


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a model with every reference inlined; a model that contains itself, `_MOST_LEVELS` deep."""
    schema = model.model_json_schema()
    return _inlined(schema, schema.get("$defs", {}), _MOST_LEVELS)


def _inlined(node: Any, definitions: dict[str, Any], depth: int) -> Any:
    if isinstance(node, list):
        return [_inlined(part, definitions, depth) for part in node]
    if not isinstance(node, dict):
        return node
    plain = {k: _inlined(v, definitions, depth) for k, v in node.items() if k not in ("$ref", "$defs")}
    if "$ref" in node and depth:
        target = definitions[node["$ref"].rpartition("/")[2]]
        return {**_inlined(target, definitions, depth - 1), **plain}
    return plain


def _walk(location: tuple[int | str, ...], schema: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema node at `location`, and its keys in the file: pydantic puts the tags of unions in between."""
    node, keys = schema, []
    for step in location:
        inner = _child(node, step)
        if inner is None and (step == "[key]" or (isinstance(step, str) and _is_tag(step, node))):
            continue
        keys.append(str(step))
        if isinstance(step, int) and inner and "description" in node:  # what a list is for, its items are for
            inner = {"description": node["description"], **inner}
        node = inner or {}
    return node, tuple(keys)


def _is_tag(step: str, node: Mapping[str, Any]) -> bool:
    return "anyOf" in node or "oneOf" in node or "[" in step or "(" in step


def _child(node: dict[str, Any], step: int | str) -> dict[str, Any] | None:
    for part in [node, *node.get("anyOf", [])]:
        if isinstance(step, str) and step in part.get("properties", {}):
            return part["properties"][step]
        if isinstance(step, str) and step != "[key]" and isinstance(part.get("additionalProperties"), dict):
            return part["additionalProperties"]
        if isinstance(step, int) and step < len(part.get("prefixItems", ())):
            return part["prefixItems"][step]
        if isinstance(step, int) and part.get("items"):
            return part["items"]
    return None
