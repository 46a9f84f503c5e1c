"""Tests of the command ``batch``."""
