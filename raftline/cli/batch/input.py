"""The input of a file of a batch, as its Source can read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.remote.inputs import readable
from pipeline.remote.urls import is_remote
from pipeline.stage import Source

if TYPE_CHECKING:
    from pipeline.config import Plan
    from pipeline.config.plan import SourcePlan


@contextmanager
def opened(plan: Plan, name: str, url: str, scratch: Path, fetch: bool) -> Iterator[tuple[Plan, dict[str, str]]]:
    """The plan with an input that its Source can read, and what the summary says of that.

    Args:
        plan: With the source as the user gave it.
        name: Of the source.
        url: Of the file, or its path, with which nothing is done.
        scratch: Folder for copies.
        fetch: Copy the file, also where it can be read in place.

    Raises:
        InputError: If a file of a store is not there, or cannot be read or copied.
    """
    if not is_remote(url):
        yield plan, {}
        return
    source = plan.sources[name]
    with readable(url, scratch, lambda address: not fetch and _takes(source, address)) as (input, how):
        info = replace(source.info, input=input, live=False)
        yield replace(plan, sources={**plan.sources, name: replace(source, info=info)}), {"read": how}


def _takes(source: SourcePlan, address: str) -> bool:
    """Whether a Source reads a file at an address of HTTP: one that checks no input may want files alone."""
    cls = source.cls
    if not issubclass(cls, Source) or cls.check_input.__func__ is Source.check_input.__func__:
        return False
    try:
        cls.check_input(address, source.info.display)
    except InputError:
        return False
    return not cls.is_live(address)
