"""Try again what a store or the network may do better the next time."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pipeline.errors import InputError, OutputError
from pipeline.remote.errors import is_lasting, told

PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between tries. Chosen by hand: half a minute, in which a store that is restarted comes back."""


def persistently(
    act: Callable[[], None],
    url: str,
    kind: type[InputError] | type[OutputError],
    given_up: threading.Event | None = None,
) -> None:
    """Call `act` until it succeeds.

    Args:
        act: May be called again after it has raised.
        url: Named in errors.
        kind: Of the error.
        given_up: Once this is set, no more tries are made.

    Raises:
        InputError, OutputError, ConfigError: What the last try raised, in words.
    """
    wait = (given_up or threading.Event()).wait
    with told(url, kind):
        for pause in PAUSES_SECONDS:
            try:
                act()
                return
            except Exception as error:
                if is_lasting(error) or wait(pause):
                    raise
        act()
