"""SyntheticSource: a rendered clip whose ground truth is known."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from pipeline.messages import Frame, Gap
from pipeline.stage import Context, Options, Source
from stages.shared.color import from_rgb
from stages.shared.frame_rate import exact_rate
from stages.synthetic.scene import SyntheticScene


class SyntheticSource(Source):
    """Renders a landscape seen by a shaking hand-held camera, with a moving car and a moving balloon.

    The ground truth (camera path, masks, flow) comes from `stages.synthetic.scene.SyntheticScene` with the same
    options. The source's `input` does not matter.
    """

    class Options(Options):
        width: int = Field(640, ge=16, le=8192, description="width of the frames, in px")
        height: int = Field(360, ge=16, le=8192, description="height of the frames, in px")
        fps: float = Field(30.0, gt=0, le=1000, description="frame rate, in frames per second")
        seconds: float = Field(8.0, gt=0, description="length of the clip, in seconds")
        seed: int = Field(1, ge=0, description="chooses the landscape and the shake")
        shake_px: float = Field(5.0, ge=0, le=100, description="camera shake: root mean square in x and in y, in px")
        objects: bool = Field(True, description="show the car and the balloon")

    def __init__(self, options: Any, context: Context) -> None:
        super().__init__(options, context)
        self.scene = scene(options)
        self._stopped = threading.Event()

    def read(self, start_index: int) -> Iterator[Frame | Gap]:
        time_base = 1 / exact_rate(self.options.fps)
        for index in range(start_index, self.frame_count()):
            if self._stopped.is_set():
                return
            header = self.context.header(index, time_base)
            yield from_rgb(self.scene.rgb(index), header, index, duration=1)

    def frame_count(self) -> int:
        return max(1, round(self.options.seconds * self.options.fps))

    def stop(self) -> None:
        self._stopped.set()


def scene(options: Any) -> SyntheticScene:
    """The scene of a `SyntheticSource` with these options."""
    return SyntheticScene(
        width=options.width,
        height=options.height,
        fps=options.fps,
        seed=options.seed,
        shake_px=options.shake_px,
        objects=options.objects,
    )
