"""One call of `raftline.video`: a shipped configuration, its source and its options, run in this process."""

from __future__ import annotations

import contextlib
import difflib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, Union

import numpy as np

from pipeline import registry
from pipeline.config import Config, Plan, load_config, make_plan
from pipeline.config.schema import SourceSection
from pipeline.errors import InputError
from pipeline.messages import EndOfStream, Message
from pipeline.runtime.in_process import InProcessRun
from raftline.shipped import shipped_configurations
from raftline.video.steps import StabilizedVideo
from stages.python_frames import hand_over, take_back

Video = Union[str, Path, Iterable[np.ndarray]]
"""A file, a folder of images, a URL or a device; or frames, uint8 (H, W, 3) RGB, from a list or a generator."""
Progress = Callable[[int, Union[int, None]], object]
"""Called with the frames done and the frames there are, None where that is not known."""

T = TypeVar("T")
_FILES = ("path", "plot")
"""Options that name a file to write: relative to the current directory, as everywhere in Python."""


class Job:
    """A shipped configuration, some of its stages, one source, and options laid over.

    Args:
        name: of the shipped configuration.
        called: what the caller called, for errors.
        video: see `Video`.
        fps: frames per second of frames that are handed over.
        stages: those that options may be for; an option that two of them have is for the first.
        options: by name.

    Raises:
        TypeError: an option that no stage has, or a video that is neither a path nor frames.
        UserError: an option out of its range, a video that is not there.
    """

    def __init__(
        self, name: str, called: str, video: Video, fps: float, stages: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        self._called = called
        self._stages = stages
        self._frames: Iterable[np.ndarray] | None = None
        self._config = self._with_source(
            load_config(shipped_configurations()[name], overrides=["once=true"]), video, fps
        )
        for key, value in options.items():
            self.set(self._stage_of(key), key, value)

    def set(self, stage: str, key: str, value: Any) -> None:
        """Lay an option over that of a stage."""
        if key in _FILES and isinstance(value, (str, Path)):
            value = str(Path(value).expanduser().absolute()).replace("{", "{{").replace("}", "}}")
        self._config = self._config.with_options(stage, {key: value}, self._called)

    def steps(
        self, taps: Mapping[str, frozenset[str]], step: Callable[[Message], T | None], on_progress: Progress | None
    ) -> Iterator[T]:
        """What `step` makes of the messages of the tapped stages, None left out. The first tap is what progress counts.

        Options and the video are checked at once, before the first step is asked for.
        """
        return self._stepped(self._plan({*self._stages, *taps}), taps, step, on_progress)

    def written(self, path: Path, on_progress: Progress | None) -> StabilizedVideo:
        """Run all stages of the configuration to their end; one of them writes `path`."""
        started = time.monotonic()
        plan = self._plan(self._config.stages)
        with self._running(plan, {}, _reporter(on_progress, list(plan.stages)[-1])) as run:
            (summary,) = run.wait().values()
        if summary["state"] == "failed":
            raise InputError(summary["error"])
        status = {name: stage["status"] for name, stage in summary["stages"].items()}
        return StabilizedVideo(path, summary["frames_decoded"], time.monotonic() - started, status)

    def _stepped(
        self,
        plan: Plan,
        taps: Mapping[str, frozenset[str]],
        step: Callable[[Message], T | None],
        on_progress: Progress | None,
    ) -> Iterator[T]:
        with self._running(plan, taps, _reporter(on_progress, next(iter(taps)))) as run:
            for _, message in run.messages():
                if isinstance(message, EndOfStream) and message.reason == "failed":
                    raise InputError(message.error)
                made = step(message)
                if made is not None:
                    yield made

    @contextlib.contextmanager
    def _running(
        self, plan: Plan, taps: Mapping[str, frozenset[str]], on_status: Callable[[dict[str, Any]], None] | None
    ) -> Iterator[InProcessRun]:
        """A run whose stages write what is not asked for into a folder that goes with it."""
        with tempfile.TemporaryDirectory(prefix="raftline-") as folder, self._handed_over(plan) as plan:
            with InProcessRun(replace(plan, output=Path(folder)), taps, on_status) as run:
                yield run

    @contextlib.contextmanager
    def _handed_over(self, plan: Plan) -> Iterator[Plan]:
        if self._frames is None:
            yield plan
            return
        number = hand_over(self._frames)
        (source,) = plan.sources.values()
        given = {**source.given, "frames": number}
        try:
            yield replace(plan, sources={source.info.name: replace(source, given=given)})
        finally:
            take_back(number)

    def _with_source(self, config: Config, video: Video, fps: float) -> Config:
        if isinstance(video, (str, Path)):
            section = SourceSection(input=str(video) or ".")
        elif isinstance(video, Iterable) and not isinstance(video, (bytes, dict)):
            self._frames = video
            options = {"frames": 0, "fps": fps}
            section = SourceSection(input="frames", use="stages.python_frames:PythonFrames", options=options)
        else:
            raise TypeError(
                f"{self._called}: video: found {type(video).__name__}; expected a path, a URL, or an iterable of "
                "frames: uint8 (height, width, 3) arrays"
            )
        return config.model_copy(update={"sources": {"video": section}})

    def _plan(self, stages: Iterable[str]) -> Plan:
        plan = make_plan(self._config.with_stages(stages))
        for source in plan.sources.values():
            source.check_input()
        return plan

    def _stage_of(self, key: str) -> str:
        known = {stage: registry.load(self._config.stages[stage].use).Options.model_fields for stage in self._stages}
        for stage, fields in known.items():
            if key in fields:
                return stage
        names = sorted({name for fields in known.values() for name in fields})
        near = difflib.get_close_matches(key, names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise TypeError(f"{self._called}() has no option {key!r}{hint} Its options: {', '.join(names)}")


def _reporter(on_progress: Progress | None, stage: str) -> Callable[[dict[str, Any]], None] | None:
    """Tells how many frames `stage` has done, when that changed."""
    if on_progress is None:
        return None
    last = -1

    def report(sources: dict[str, Any]) -> None:
        nonlocal last
        for source in sources.values():
            done = source["stages"][stage]["frames"]
            if done != last:
                last = done
                on_progress(done, source["frames_expected"])

    return report
