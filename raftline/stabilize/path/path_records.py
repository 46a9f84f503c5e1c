"""The measured camera motion of each frame, as values of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from raftline.camera.bars import Bars
from raftline.camera.camera_motion import CameraMotion
from raftline.camera.mesh import mesh_shape
from raftline.camera.revision import Revision
from raftline.stabilize.path.path_smoothing import CameraPath, camera_path


@dataclass(frozen=True)
class PathRecord:
    """One frame's measured motion."""

    index: int
    """Index of the decoded frame in its source, from 0."""
    pts_seconds: float | None
    """Presentation time; None if unknown."""
    width: int
    """Width of the frame, px."""
    height: int
    """Height of the frame, px."""
    camera: tuple[float, ...]
    """Row-major 3x3: px of the frame before to px of this one."""
    model: str
    """As in `CameraMotion`."""
    confidence: float
    """As in `CameraMotion`."""
    inlier_share: float
    """As in `CameraMotion`."""
    residual_px: float
    """As in `CameraMotion`."""
    starts_path: bool
    """Motion is not continuous with the frame before: the first frame, a cut, a gap, another size."""
    duplicate: bool
    """The frame repeats the one before."""
    parallax_percent: tuple[int, ...] | None = None
    """Gains of the mesh (see `raftline.camera.parallax`), row-major, in percent; None: one plane."""
    revised: tuple[Revision, ...] = ()
    """What puts `camera` of frames of the path up to this one right: their index, and a matrix that follows it."""
    bars_px: tuple[int, int, int, int] | None = (0, 0, 0, 0)
    """Width of the black bars, left, top, right, bottom, px, that all frames up to this one have; None: they were too
    dark to show any."""
    row_shear_px: tuple[float, float] | None = None
    """Shear along x and stretch along y of the motion into the frame (see `raftline.camera.row_shear`); None: not
    measured."""

    @classmethod
    def of(
        cls,
        motion: CameraMotion,
        index: int,
        pts_seconds: float | None,
        size: tuple[int, int],
        *,
        starts_path: bool = False,
        duplicate: bool = False,
        gains: np.ndarray | None = None,
        revised: Sequence[Revision] = (),
        bars: tuple[int, int, int, int] | None = (0, 0, 0, 0),
        row_shear_px: tuple[float, float] | None = None,
    ) -> PathRecord:
        """Make a record of `motion`, rounded as it will be written; the other arguments as the fields."""
        return cls(
            index,
            None if pts_seconds is None else round(pts_seconds, 9),
            *size,
            tuple(round(float(value), 12) for value in motion.matrix.ravel()),
            motion.model,
            round(motion.confidence, 4),
            round(motion.inlier_share, 4),
            round(motion.residual_px, 4),
            starts_path,
            duplicate,
            None if gains is None else tuple(round(100 * float(gain)) for gain in gains.ravel()),
            tuple(revised),
            bars,
            None if row_shear_px is None else (round(row_shear_px[0], 4), round(row_shear_px[1], 4)),
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> PathRecord:
        """Make a record of the JSON values of `to_json`."""
        percent = values["parallax_percent"]
        gains = None if percent is None else tuple(percent)
        revised = tuple((index, tuple(correction)) for index, correction in values["revised"])
        shear, bars = values["row_shear_px"], values["bars_px"]
        return cls(
            **{
                **values,
                "camera": tuple(values["camera"]),
                "parallax_percent": gains,
                "revised": revised,
                "bars_px": None if bars is None else tuple(bars),
                "row_shear_px": None if shear is None else tuple(shear),
            }
        )

    @classmethod
    def from_values(cls, values: Sequence[Any]) -> PathRecord:
        """Make a record of the values of `to_json` without their names, in order."""
        return cls.from_json(dict(zip((field.name for field in fields(cls)), values, strict=True)))

    def to_json(self, **more: Any) -> dict[str, Any]:
        """Return JSON values, followed by `more`."""
        return {**vars(self), **more}

    @property
    def unmeasured(self) -> bool:
        """Nothing is known of the motion into this frame; `camera` is identity."""
        return self.model == "none" and not self.duplicate

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3) float64."""
        return np.array(self.camera).reshape(3, 3)

    @property
    def bars(self) -> Bars:
        """As `bars_px`; none where they are not known."""
        return Bars(*(self.bars_px or ()))

    @property
    def gains(self) -> np.ndarray | None:
        """(rows, columns) float64 of the mesh; None: one plane."""
        if self.parallax_percent is None:
            return None
        return np.array(self.parallax_percent).reshape(mesh_shape(self.width, self.height)) / 100


def with_all_bars(records: Sequence[PathRecord]) -> list[PathRecord]:
    """Return records, in order, with the bars that all frames before have, too, whatever section of the file those are
    of; and with none where they are not known."""
    found, known, size = [], None, None
    for record in records:
        if size != (record.width, record.height):
            known, size = None, (record.width, record.height)
        if record.bars_px is not None:
            known = record.bars if known is None else known.narrowest(record.bars)
        found.append(replace(record, bars_px=(known or Bars()).to_json()))
    return found


def runs_of(records: Sequence[PathRecord]) -> list[Sequence[PathRecord]]:
    """Split records, in order, into continuous runs."""
    begins = [at for at, record in enumerate(records) if record.starts_path or at == 0]
    return [records[first:after] for first, after in zip(begins, begins[1:] + [len(records)], strict=False)]


def path_of(run: Sequence[PathRecord]) -> CameraPath:
    """Return the camera's path in one of `runs_of`, in px of what lies between the bars of its last frame."""
    bars = run[-1].bars
    times = np.array([np.nan if record.pts_seconds is None else record.pts_seconds for record in run])
    matrices = np.stack([bars.to_content(record.matrix) for record in run])
    duplicates = np.array([record.duplicate for record in run])
    unmeasured = np.array([record.unmeasured for record in run])
    unmeasured[0] = False
    return camera_path(matrices, times, duplicates, *bars.content_size(run[0].width, run[0].height), unmeasured)
