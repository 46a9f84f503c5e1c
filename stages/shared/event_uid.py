"""Ids of motion events that no other event has."""

from __future__ import annotations

from uuid import UUID, uuid5

_EVENTS = UUID("6f0d8f0c-3a0e-5a8e-9d0f-0c6a9e6b3c51")
"""Namespace of the events' uids; random."""


def event_uid(source: str, begin: float, id: int) -> str:
    """The uid of an event, the same wherever it is made.

    Args:
        source: Name of the source.
        begin: Of a camera: arrival of the mask that the event begins with, ns since 1970. Of a file: `begin_seconds`.
        id: Of the event, which counts those of a run.
    """
    return str(uuid5(_EVENTS, f"{source} {begin} {id}"))
