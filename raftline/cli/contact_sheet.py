"""``contact-sheet``: one image that shows what a run made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raftline.cli.arguments import Debug
from raftline.cli.failures import reported


@reported
def contact_sheet(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The output directory of a run.", show_default=False)],
    debug: Debug = False,
) -> None:
    """Write DIR/contact_sheet.png: frames of each video of a run, side by side at the same times.

    \b
    raftline contact-sheet out
    """
    from raftline.cli.sheets.contact_sheet import write_contact_sheet

    print(f"contact sheet: {write_contact_sheet(folder)}")
