"""What the page asks for, under ``/api``."""
