"""Templates of file names with fields: ``{source}.masks/{index:06d}.png``."""

from __future__ import annotations

import string


def check_suffix(template: str, *suffixes: str) -> str:
    """Return the template if it ends in one of the suffixes; raise ValueError if not."""
    if not template.endswith(suffixes):
        raise ValueError(f"'{template}' must end in {' or '.join(suffixes)}; rename it")
    return template


def check_fields(template: str, allowed: tuple[str, ...], needed: str, without_it: str) -> None:
    """Raise ValueError if a template lacks a field or holds an unknown one.

    Args:
        template: of a path.
        allowed: names of all fields.
        needed: name of the field that must be there.
        without_it: what would happen without it, and what to add; for the error.
    """
    found = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    if needed not in found:
        raise ValueError(f"'{template}' has no {{{needed}}}, so {without_it}")
    if unknown := sorted(found - set(allowed)):
        named = [f"{{{field}}}" for field in allowed]
        raise ValueError(f"'{template}' holds {{{unknown[0]}}}; allowed are {', '.join(named[:-1])} and {named[-1]}")
