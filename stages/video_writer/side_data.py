"""What else a stream says of its frames that an output cannot repeat."""

from __future__ import annotations

from typing import Any

from av.sidedata.sidedata import Type

from stages.shared.frame_side_data import side_data_of

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
    found = side_data_of(frame)
    return [] if found is None else [name for kind, name in _LOST.items() if kind in found]
