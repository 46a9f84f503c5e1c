"""The command ``batch``: files that are found, named and run, many at a time, on one machine or many."""
