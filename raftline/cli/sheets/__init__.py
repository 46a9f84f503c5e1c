"""Sheets of pictures: a run, or the events of a log, at a glance."""
