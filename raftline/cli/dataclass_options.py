"""Command-line options made of the fields of a dataclass: each is named and described there, once."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar

import typer

from pipeline.errors import UserError

R = TypeVar("R")


def with_options(defaults: Any, *, without: Collection[str] = ()) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Decorator: replace a command's parameter `options` by one command-line option per field.

    Args:
        defaults: a dataclass instance whose fields carry metadata as `raftline.flow.options.described` gives it.
        without: fields that the command does not offer; they keep their defaults.
    """
    types = typing.get_type_hints(type(defaults))
    fields = [field for field in dataclasses.fields(defaults) if field.name not in without]

    def decorate(command: Callable[..., R]) -> Callable[..., R]:
        hints = typing.get_type_hints(command, include_extras=True)
        signature = inspect.signature(command)
        given = [
            parameter.replace(annotation=hints[name])
            for name, parameter in signature.parameters.items()
            if name != "options"
        ]

        @functools.wraps(command)
        def wrapped(**arguments: Any) -> R:
            values = {field.name: arguments.pop(field.name) for field in fields}
            try:
                options = dataclasses.replace(defaults, **values)
            except ValueError as error:
                raise UserError(str(error)) from error
            return command(**arguments, options=options)

        parameters = [
            *given,
            *(_parameter(field, types[field.name], getattr(defaults, field.name)) for field in fields),
        ]
        # Typer reads both; keyword-only, as parameters without a default may not follow others.
        parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return wrapped

    return decorate


def option_like(field: dataclasses.Field[Any], default: Any, none: str | None = None) -> Any:
    """Typer's option of a dataclass field.

    Args:
        default: of the command.
        none: what None means; None: what the field says.
    """
    metadata = field.metadata
    description: str = metadata["description"]
    shown = True if default is not None else (none or metadata["none"])
    bounds = metadata["bounds"]
    return typer.Option(
        help=f"{description[0].upper()}{description[1:]}.",
        min=bounds.get("ge"),
        max=bounds.get("le"),
        show_default=shown,
    )


def _parameter(field: dataclasses.Field[Any], kind: Any, default: Any) -> inspect.Parameter:
    annotation = Annotated[kind, option_like(field, default)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
