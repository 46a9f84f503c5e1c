"""A file that is worked on in segments gives the frames of one that is not: each once, and the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import InputError
from pipeline.messages import Frame, Stabilized
from pipeline.sections import Sections
from pipeline.segments import Span
from pipeline.stage import Demand
from pipeline.testing import TestContext, run_stage
from stages.decoder import Decoder
from stages.flow import OpticalFlow
from stages.stabilization import MovedFrames, Stabilization
from stages.stabilization.moves import read_moves
from tests.stages.decoding import decode, fingerprint
from tests.stages.segment_clips import FRAMES, RECIPES, write_shaken

_SECONDS = 0.3
COARSE = Demand("coarse", ("stabilization",))


def spans_of(path: Path, seconds: float = _SECONDS) -> list[Span]:
    return Decoder.cut(Decoder.Options.model_validate({}), str(path), seconds)


def decoded(path: Path, span: Span | None = None) -> list[Frame]:
    """The frames as the decoder gives them, but for what differs from run to run."""
    options = {} if span is None else dict(Decoder.of_span(span, {"counts": {}, "status": {}}) or {})
    frames, gaps, counts = decode(path, threads=1, **options)
    assert not gaps and not counts
    return [replace(frame, header=replace(frame.header, epoch=1, sequence=1 + at)) for at, frame in enumerate(frames)]


@pytest.mark.parametrize("name", RECIPES)
def test_segments_hold_every_frame_once_and_as_in_one_piece(tmp_path: Path, name: str) -> None:
    path = write_shaken(tmp_path / name)
    whole = [fingerprint(frame)[1:] for frame in decoded(path)]
    spans = spans_of(path)
    assert len(spans) >= 3
    parts = [[fingerprint(frame)[1:] for frame in decoded(path, span)] for span in spans]
    assert [frame for part in parts for frame in part] == whole
    assert len(whole) == (FRAMES if name != "early.mp4" else len(whole)) and min(map(len, parts)) > 0


def test_a_file_that_is_short_or_has_one_key_frame_is_not_cut(tmp_path: Path) -> None:
    path = write_shaken(tmp_path / "closed.mp4")
    assert spans_of(path, 2.0) == []
    RECIPES["rare.mp4"] = {"codec": "libx264", "options": {"x264-params": "keyint=250:scenecut=0"}}
    try:
        assert spans_of(write_shaken(tmp_path / "rare.mp4")) == []
    finally:
        del RECIPES["rare.mp4"]


def test_a_decoder_restarted_within_a_segment_goes_on_with_the_next_frame(tmp_path: Path) -> None:
    path = write_shaken(tmp_path / "open_hevc.mkv", 24)
    span = spans_of(path, 0.3)[1]
    frames, _, _ = decode(path, span=list(span))
    again, _, _ = decode(path, start_index=3, span=list(span))
    assert list(map(fingerprint, again)) == list(map(fingerprint, frames[3:]))


@pytest.mark.parametrize("told", [{"counts": {"repaired_pts": 1}, "status": {}}, {"status": {"deinterlace": "why"}}])
def test_frames_that_depend_on_all_before_are_not_decoded_in_segments(told: dict) -> None:
    assert Decoder.of_span(Span(0, 4, 8), told) is None


@pytest.fixture(scope="module", params=["closed.mp4", "open_hevc.mkv"])
def divided(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list]:
    """A clip, the moves of its frames, and its frames stabilized in one piece."""
    folder = tmp_path_factory.mktemp("divided")
    path, moves = write_shaken(folder / request.param), folder / "moves"
    frames = decoded(path)
    again = [replace(frame, header=replace(frame.header, epoch=0, sequence=0)) for frame in frames]
    options = {"estimator": "dis", "warm_start": "never"}
    flows = run_stage(OpticalFlow, frames, options, TestContext(demand=COARSE, directory=folder))
    whole = run_stage(Stabilization, flows, {}, TestContext(frames=again, directory=folder))
    division = Stabilization.divided(Stabilization.Options.model_validate({}), str(moves))
    assert division is not None
    assert run_stage(Stabilization, flows, division.in_order, TestContext(directory=folder)) == []
    return path, moves, whole


def test_frames_moved_in_segments_are_those_of_the_whole_clip(divided: tuple[Path, Path, list]) -> None:
    path, moves, whole = divided
    assert Stabilization.in_one_piece(str(moves)) is None
    parts = []
    for span in spans_of(path):
        options = {"moves": str(moves), "span": list(span)}
        parts += run_stage(MovedFrames, decoded(path, span), options, TestContext(), killed_after=[2])
    assert list(map(_moved, parts)) == list(map(_moved, whole)) and len(whole) == FRAMES


def test_frames_that_were_not_measured_are_refused(divided: tuple[Path, Path, list]) -> None:
    path, moves, _ = divided
    frames = decoded(path)
    for wrong in (frames[1:], frames[:5] + frames[6:], frames[:-1]):
        with pytest.raises(InputError, match=r"found .* where .* was measured"):
            run_stage(MovedFrames, wrong, {"moves": str(moves)}, TestContext())


_SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in RECIPES if name != "open_hevc.mp4"]


@pytest.mark.parametrize("name", ["open_hevc.mp4", *_SLOW])
def test_what_is_gathered_of_sections_is_what_is_measured_in_one_piece(tmp_path: Path, name: str) -> None:
    path, minutes = write_shaken(tmp_path / name), {"section_minutes": 0.3 / 60}
    in_one = {**minutes, "moves": str(tmp_path / "whole")}
    run_stage(Stabilization, _flows(tmp_path, decoded(path), minutes), in_one, TestContext(directory=tmp_path))
    parts = []
    sections = Decoder.cut_sections(Decoder.Options.model_validate({}), str(path), Sections.of_minutes(0.3 / 60))
    ends = [*(number for number, _ in sections[1:]), None]
    for (number, span), end in zip(sections, ends, strict=True):
        parts.append(tmp_path / f"part-{number}")
        flows = _flows(tmp_path, decoded(path, span), minutes, killed_after=[7])
        options, context = {**minutes, **Stabilization.of_section(number, end)}, TestContext(directory=parts[-1])
        run_stage(Stabilization, flows, options, context, killed_after=[2, 9])
    options = Stabilization.Options.model_validate({**minutes, "moves": str(tmp_path / "gathered")})
    frames = Stabilization.gather(options, TestContext(directory=tmp_path), parts)
    assert len(parts) >= 3 and frames == len(decoded(path))
    assert (tmp_path / "gathered").read_text() == (tmp_path / "whole").read_text()


def test_a_section_begins_anew(tmp_path: Path) -> None:
    frames = decoded(write_shaken(tmp_path / "closed.mp4"))
    context = TestContext(directory=tmp_path)
    for minutes, moves in ((5, "one"), (0.3 / 60, "several")):
        flows = _flows(tmp_path, frames, {"section_minutes": minutes})
        run_stage(Stabilization, flows, {"section_minutes": minutes, "moves": str(tmp_path / moves)}, context)
    one, several = (list(read_moves(tmp_path / name, None, None)) for name in ("one", "several"))
    off = [np.abs(np.subtract(a.move[0], b.move[0])).max() for a, b in zip(one, several, strict=True)]
    assert 0 < max(off) < 1  # px: the path goes on


def _flows(folder: Path, frames: list[Frame], options: dict, killed_after: Sequence[int] = ()) -> list:
    context = TestContext(demand=COARSE, directory=folder)
    return run_stage(OpticalFlow, frames, {"estimator": "dis", **options}, context, killed_after=killed_after)


def _moved(message: Stabilized) -> tuple:
    return fingerprint(message.frame), message.header.pts, message.correction
