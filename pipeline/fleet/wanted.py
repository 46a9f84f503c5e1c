"""Add, change and remove the cameras that a fleet watches. For the command line, and for hosts that start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.config.explain import nearest
from pipeline.config.names import distinct, source_name
from pipeline.config.schema import checked_sources
from pipeline.errors import ConfigError
from pipeline.fleet.control import Control
from pipeline.redaction import redact

Section = Mapping[str, Any]


def add(control: Control, section: Section, name: str | None = None) -> str:
    """Have a camera watched.

    Args:
        control: The control Redis.
        section: ``input``, ``use`` and ``options``, with ``${VAR}`` as written.
        name: None: it is named after its input.

    Returns:
        Its name.

    Raises:
        ConfigError: If there is one of this name, or the name cannot be one.
    """
    there = control.cameras()
    name = distinct(source_name(str(section["input"])), there) if name is None else name
    if name in there:
        raise ConfigError(f"source add: the fleet has a camera {name!r} already; change it, or give another name")
    control.want(_checked(name, section), section, "command", redact(section["input"]))
    return name


def change(control: Control, name: str, input: str | None, options: Section) -> None:
    """Change the input or the options of a camera, which begins anew. An option of None is taken back.

    Raises:
        ConfigError: If there is no such camera.
    """
    section = control.section(name)
    if section is None:
        raise _unknown(control, name, "change")
    merged = {**(section.get("options") or {}), **options}
    given = {"input": input or section["input"], "options": {k: v for k, v in merged.items() if v is not None}}
    section = {**section, **given}
    control.want(_checked(name, section), section, "command", redact(section["input"]))


def remove(control: Control, name: str) -> None:
    """Have a camera watched no longer. Raises `ConfigError` if there is none."""
    if not control.unwant(name):
        raise _unknown(control, name, "remove")


def seed(control: Control, sections: Mapping[str, Section]) -> None:
    """Want the cameras of a configuration: those that are not there, and those that it says otherwise than before.

    One that was added or changed by command stays as it is.

    Args:
        control: The control Redis.
        sections: `sources` of the configuration, with ``${VAR}`` as written.
    """
    there = control.cameras()
    for name, section in sections.items():
        known = there.get(name)
        if known is None or (known.by == "file" and control.section(name) != section):
            control.want(name, section, "file", redact(section["input"]))


def _checked(name: str, section: Section) -> str:
    return next(iter(checked_sources({name: section}, "source add")))


def _unknown(control: Control, name: str, action: str) -> ConfigError:
    there = control.cameras()
    names = ", ".join(there) or "none"
    return ConfigError(f"source {action}: the fleet has no camera {name!r}{nearest(name, there)}; its cameras: {names}")
