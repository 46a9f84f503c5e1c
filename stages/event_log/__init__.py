"""The stage `event_log` and its parts."""

from stages.event_log.stage import EventLog

__all__ = ["EventLog"]
