"""The functions of `raftline.video`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.messages import Data, Flow, Mask, Message
from raftline.video.job import Job, Progress, Video
from raftline.video.steps import Event, FlowStep, MotionStep, StabilizedVideo, event, flow_step, motion_step


def flow(
    video: Video,
    *,
    full_resolution: bool = True,
    confidence: bool = False,
    fps: float = 30.0,
    on_progress: Progress | None = None,
    **options: Any,
) -> Iterator[FlowStep]:
    """Optical flow from each frame to the next.

    Args:
        video: see `Video`.
        full_resolution: whether `FlowStep.flow_px` is wanted; the grid alone is faster.
        confidence: whether `FlowStep.confidence` is wanted; it takes twice the time.
        fps: frames per second of frames that are handed over.
        on_progress: see `Progress`.
        options: those of the stages flow (``estimator``, ``iterations``, ``weights``, ``device``, ...) and decoder;
            ``raftline stages flow`` prints them.

    Yields:
        A step for every frame, the first included, in order. Leaving the loop ends the work.

    Raises:
        TypeError: an option that there is not. See also the head of this module.
    """
    needs = {"flow": full_resolution, "confidence": confidence}
    wanted = frozenset(name for name, asked in needs.items() if asked)
    job = Job("flow", "video.flow", video, fps, ("flow", "decoder"), options)
    return job.steps({"flow": wanted}, _flow_step, on_progress)


def _flow_step(message: Message) -> FlowStep | None:
    return flow_step(message) if isinstance(message, Flow) else None


def motion(video: Video, *, fps: float = 30.0, on_progress: Progress | None = None, **options: Any) -> Motion:
    """What moves in a video other than the camera: masks, objects, events.

    Args:
        video: see `Video`.
        fps: frames per second of frames that are handed over.
        on_progress: see `Progress`.
        options: those of the stages motion_mask (``min_area``, ``watch``, ``camera``, ...), flow and decoder;
            ``raftline stages motion_mask`` prints them.

    Raises:
        TypeError: an option that there is not. See also the head of this module.
    """
    job = Job("motion_masks", "video.motion", video, fps, ("motion_mask", "flow", "decoder"), options)
    return Motion(job, on_progress)


class Motion:
    """Goes through the video once: a `MotionStep` for every frame."""

    def __init__(self, job: Job, on_progress: Progress | None) -> None:
        self._events: list[Event] = []
        self._steps = job.steps({"motion_mask": frozenset(), "motion_events": frozenset()}, self._step, on_progress)

    def __iter__(self) -> Iterator[MotionStep]:
        return self._steps

    @property
    def events(self) -> list[Event]:
        """All events of the video. Goes through what is left of it first."""
        for _ in self._steps:
            pass
        return self._events

    def _step(self, message: Message) -> MotionStep | None:
        if isinstance(message, Data):
            self._events += [event(line) for line in message.values["events"]]
        return motion_step(message) if isinstance(message, Mask) else None


def stabilize(
    video: Video, output: str | Path, *, fps: float = 30.0, on_progress: Progress | None = None, **options: Any
) -> StabilizedVideo:
    """Write a steady video, sound and time stamps kept.

    Args:
        video: see `Video`; a list of frames or a file, which is read twice; a generator while its frames fit into
            128 MB, or with ``smoothing="look_ahead"``.
        output: the .mp4 to write. It appears when it is complete.
        fps: frames per second of frames that are handed over.
        on_progress: see `Progress`.
        options: those of the stages stabilization (``max_zoom``, ``zooming``, ``smoothing``, ...), video writer
            (``crf``, ``quality``, ``audio``), flow (``estimator``, ...) and decoder; ``raftline stages stabilization``
            prints them.

    Raises:
        TypeError: an option that there is not. See also the head of this module.
    """
    path = Path(output).expanduser().absolute()
    stages = ("stabilization", "stabilized_video", "flow", "decoder")
    job = Job("stabilize", "video.stabilize", video, fps, stages, options)
    job.set("stabilized_video", "path", path)
    return job.written(path, on_progress)
