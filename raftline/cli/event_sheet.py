"""``event-sheet``: one image of what moved when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raftline.cli.arguments import Debug
from raftline.cli.failures import reported


@reported
def event_sheet(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A log of the stage event_log, best written with its option `thumbnails`.",
            show_default=False,
        ),
    ],
    debug: Debug = False,
) -> None:
    """Write an image beside a log of motion events: thumbnail, begin, duration and peak of the newest events.

    \b
    raftline event-sheet out/garden.motion.jsonl
    """
    from raftline.cli.sheets.event_sheet import write_event_sheet

    print(f"event sheet: {write_event_sheet(log)}")
