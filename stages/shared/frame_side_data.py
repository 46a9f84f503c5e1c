"""What a decoded frame carries beside its pixels."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import SideDataContainer


def side_data_of(frame: Any) -> Any:
    """Side data of a frame (PyAV's) by its kind; None where there is a kind that this PyAV does not know, such as EXIF.

    `frame.side_data` is the same, but the frame keeps it, and it keeps the frame: its pixels then stay until Python
    looks for garbage, which may be hours: a camera's key frames alone are gigabytes by then.
    """
    try:
        return SideDataContainer(frame)  # pyright: ignore[reportCallIssue]  # untold by its stub
    except ValueError:
        return None
