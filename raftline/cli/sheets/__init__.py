"""Sheets of images: a run, or the events of a log, at a glance."""
