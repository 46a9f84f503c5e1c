"""Motion events in one SQLite file, which a run writes and everybody reads."""

from raftline.event_database.clips import Clips
from raftline.event_database.database import NAME, EventDatabase
from raftline.event_database.event import GRID, LABELS, Bar, Event, Filter, cells_of
from raftline.event_database.schema import DatabaseError

__all__ = ["GRID", "LABELS", "NAME", "Bar", "Clips", "DatabaseError", "Event", "EventDatabase", "Filter", "cells_of"]
