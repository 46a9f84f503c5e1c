"""The options of the stage `stabilization`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline import stage
from raftline.stabilize.choices import Border, Interpolation, Method, Zooming


class StabilizationOptions(stage.Options):
    """What a user can set; `raftline stages stabilization` prints the descriptions."""

    smoothing: Literal["auto", "whole_clip", "look_ahead"] = Field(
        "auto",
        description="whole_clip: measure the whole file first, for the best path; look_ahead: correct each frame after "
        "a short delay, for cameras; auto: whole_clip for files, look_ahead for live sources and pipes",
    )
    cutoff_hz: float | None = Field(
        None,
        ge=0.05,
        le=10,
        description="camera movement slower than this is kept, faster movement is removed as shake; in Hz. null: 0.6; "
        "in a whole clip 0.3 if it sways at all frequencies, as a hand does, with no gap between slow and fast; where "
        "that is only likely, 0.3 as far as the zoom for 0.6 allows",
    )
    tripod: bool = Field(False, description="remove all camera movement, slow movement too, as far as the zoom allows")
    method: Method = Field(
        "optimal",
        description="whole_clip: how the path is smoothed. optimal: separates slow movement from shake to the ends of "
        "each shot; gaussian: averages over time",
    )
    look_ahead_seconds: float = Field(
        0.5,
        ge=0,
        le=2,
        description="look_ahead: delay of the output, and how much of the future each correction knows; in seconds",
    )
    model: Literal["auto", "translation", "similarity", "affine", "homography"] = Field(
        "auto",
        description="model of the camera's motion between two frames; a simpler one is used where the frames support "
        "no more. auto: similarity, and homography where the frames clearly show perspective or shear",
    )
    parallax: Literal["auto", "off"] = Field(
        "auto",
        description="auto: where the camera's shake shows that parts of a scene are nearer or farther than most of it, "
        "a mesh moves them by more or less; off: one model for the whole frame",
    )
    readout_ms: Annotated[float, Field(ge=-100, le=100)] | Literal["auto"] = Field(
        0.0,
        description="rolling shutter: time between the exposure of the first and of the last row, negative if the last "
        "row comes first; in ms. Phones take 10 to 30; 0: all rows at once; auto: estimated from the clip, 0 where it "
        "shows no sign of one (whole_clip; look_ahead takes 0)",
    )
    max_zoom: Annotated[float, Field(ge=1, le=3)] | Literal["auto"] = Field(
        "auto",
        description="whole_clip: largest enlargement to hide borders, as a factor; the least that suffices is used. "
        "auto: 1.15, and up to 1.4 for a clip that shakes so much that 1 frame in 20 asks for it",
    )
    zoom: float = Field(1.1, ge=1, le=3, description="look_ahead: enlargement to hide borders, as a factor")
    zooming: Zooming = Field(
        "static",
        description="static: one zoom for all frames; dynamic: as much as is needed around each moment (whole_clip "
        "only); none: keep the size, and fill the borders as `border` says",
    )
    border: Border = Field(
        "mirror",
        description="with zooming: none, what fills the borders. mirror: the mirrored frame; blur: the same, blurred; "
        "fill: what earlier frames showed there",
    )
    most_shift_x: float = Field(
        1.0,
        ge=0,
        le=1,
        description="whole_clip: largest shift along x, as a share of the width, 0-1; 0 leaves x alone",
    )
    most_shift_y: float = Field(
        1.0,
        ge=0,
        le=1,
        description="whole_clip: largest shift along y, as a share of the height, 0-1; 0 leaves y alone",
    )
    most_turn_degrees: float = Field(
        180.0, ge=0, le=180, description="whole_clip: largest turn, in degrees; 0 leaves the angle alone"
    )
    watch: list[list[tuple[float, float]]] = Field(
        [],
        description="the camera's motion is measured only inside these polygons [[x, y], ...], in shares of the frame, "
        "0-1; empty: everywhere",
    )
    ignore: list[list[tuple[float, float]]] = Field(
        [],
        description="the camera's motion is not measured inside these polygons [[x, y], ...], in shares of the frame, "
        "0-1",
    )
    bars: Literal["auto", "off"] = Field(
        "auto",
        description="auto: black bars around a film (letterbox, pillarbox) stay where they are, and what lies between "
        "them is stabilized; off: they are part of the scene",
    )
    interpolation: Interpolation = Field(
        "cubic", description="interpolation of pixels: linear is faster, lanczos sharper than cubic"
    )
    path: str = Field(
        "{source}.path.jsonl", description="file for the camera path and the correction of each frame, as JSON lines"
    )
    plot: str | None = Field(
        "{source}.path.png", description="whole_clip: PNG file for a plot of the path before and after; null: none"
    )

    section_minutes: float = Field(
        5.0,
        gt=0,
        description="whole_clip: what is learned of a scene is learned anew every so many minutes of a file, so that "
        "parts of a long one can be measured separately with the same result; as that of the flow; in minutes",
    )
    measured: str | None = Field(
        None,
        description="whole_clip: write how the camera moves into this file, and no frames. raftline batch does so with "
        "sections of long files; null: frames are corrected",
    )
    section: int | None = Field(
        None,
        description="whole_clip: number of the section to begin with; earlier frames only teach; null: the first",
    )
    section_end: int | None = Field(
        None, description="whole_clip: number of the section that follows the last one; null: to the end of the file"
    )
    moves: str | None = Field(
        None,
        description="whole_clip: write how each frame is to be moved into this file, and no frames: the stage "
        "stages.stabilization:MovedFrames corrects those of a part of the file by it. raftline batch does so with long "
        "files; null: frames are corrected here",
    )

    @property
    def known_readout_seconds(self) -> float:
        """`readout_ms` in s; 0 as long as it is to be estimated."""
        return 0.0 if self.readout_ms == "auto" else self.readout_ms / 1000

    @model_validator(mode="after")
    def _zones_are_polygons(self) -> StabilizationOptions:
        from raftline.camera.zones import zone_mask  # here: a configuration is checked without OpenCV

        zone_mask(self.watch, self.ignore, 1, 1)
        return self
