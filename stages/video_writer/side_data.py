"""What else a stream says of its frames that an output cannot repeat."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import Type

_LOST: dict[Type, str] = {
    Type.A53_CC: "closed captions inside the video",
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.SPHERICAL: "the projection of spherical video",
    Type.STEREO3D: "the arrangement of stereoscopic video",
}


def lost_with(frame: Any) -> list[str]:
    """Names of what a decoded frame (PyAV's) carries beside its pixels and is lost when these are encoded anew."""
    try:
        found = frame.side_data
    except ValueError:  # side data of a kind that this PyAV does not know
        return []
    return [name for kind, name in _LOST.items() if kind in found]
