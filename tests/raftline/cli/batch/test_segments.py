"""The plans of the tasks of a long file, and what they leave for each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Plan, load_config, make_plan
from pipeline.config.plan import StagePlan
from pipeline.segments import Span
from raftline.cli.batch.segments import Segments
from tests.stages.segment_clips import write_shaken

YAML = """
name: long
stages:
  decoder: {use: "stages.decoder:Decoder"}
  flow: {use: "stages.flow:OpticalFlow", reads: decoder, options: {estimator: dis}}
  stabilization: {use: "stages.stabilization:Stabilization", reads: flow}
  video: {use: "stages.video_writer:VideoWriter", reads: stabilization}
  both: {use: "stages.side_by_side:SideBySide", reads: stabilization}
  both_video: {use: "stages.video_writer:VideoWriter", reads: both, options: {path: "{source}.both.mp4"}}
  motion: {use: "stages.motion_mask:MotionMask", reads: flow}
"""
SPAN = Span(100, 200, 300)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shaken(tmp_path_factory.mktemp("clip") / "closed.mp4", 24)


def segments(folder: Path, clip: Path, *overrides: str, yaml: str = YAML) -> Segments:
    (folder / "long.yaml").write_text(yaml)
    config = load_config(folder / "long.yaml", inputs=[str(clip)], output=folder / "out", overrides=overrides)
    return Segments(make_plan(config), "closed")


def option(plan: Plan, stage: str, name: str) -> Any:
    return option_of(plan.stages[stage], name)


def option_of(stage: StagePlan, name: str) -> Any:
    return stage.options.model_dump()[name]


def told(status: dict[str, str] | None = None) -> dict:
    stage = {"counts": {}, "status": status or {}}
    return {"sources": {"closed": {"stages": {"decoder": stage}}}}


def test_what_needs_all_before_goes_in_order_and_the_rest_by_segments(tmp_path: Path, clip: Path) -> None:
    of_file = segments(tmp_path, clip)
    in_order, rest = of_file.in_order(), of_file.rest(1, SPAN, told())
    assert list(in_order.stages) == ["decoder", "flow", "stabilization", "motion"]
    assert option(in_order, "stabilization", "moves") == option(rest, "stabilization", "moves")
    assert in_order.stages["stabilization"].readers == () and in_order.output == tmp_path / "out"
    assert {name: stage.use.rpartition(":")[2] for name, stage in rest.stages.items()} == {
        "decoder": "Decoder",
        "stabilization": "MovedFrames",
        "video": "VideoPart",
        "both": "SideBySide",
        "both_video": "VideoPart",
    }
    assert rest.stages["decoder"].readers == ("stabilization",) and rest.stages["stabilization"].needs == {"original"}
    assert rest.sources["closed"].options.model_dump()["span"] == tuple(SPAN)
    assert rest.output == of_file.folder / "rest-1" and rest.name != in_order.name


def test_flow_is_computed_ahead_as_the_run_in_order_would(tmp_path: Path, clip: Path) -> None:
    of_file = segments(tmp_path, clip)
    in_order = of_file.in_order()
    ahead = of_file.ahead(1, SPAN, in_order)
    assert ahead is not None and list(ahead.stages) == ["decoder", "flow"]
    mine, theirs = ahead.stages["flow"], in_order.stages["flow"]
    assert (mine.options, mine.demand, mine.needs) == (theirs.options, theirs.demand, theirs.needs)
    assert option(ahead, "flow", "store") is not None and mine.readers == () and mine.use.endswith(":FlowAhead")


def test_sections_are_measured_separately_where_no_other_stage_needs_all_before(tmp_path: Path, clip: Path) -> None:
    minutes = [f"stages.{stage}.options.section_minutes=0.005" for stage in ("flow", "stabilization")]
    assert segments(tmp_path, clip, *minutes).sections() == []  # because of the masks
    alone = YAML[: YAML.index("  motion:")]
    assert segments(tmp_path, clip, *minutes[:1], yaml=alone).sections() == []  # they would not begin anew together
    of_file = segments(tmp_path, clip, *minutes, yaml=alone)
    (_, first), (number, second), *_ = of_file.sections()
    assert first.seek is first.first is None and first.end is not None and number == 1
    measure = of_file.measure(number, second, 2)
    assert list(measure.stages) == ["decoder", "flow", "stabilization"] and measure.output.name == "measure-1"
    assert option(measure, "stabilization", "section") == 1 and option(measure, "stabilization", "section_end") == 2
    assert option(measure, "flow", "store") is None
    assert option(measure, "stabilization", "moves") is None and measure.stages["stabilization"].readers == ()
    assert option_of(of_file.gathering(), "moves") == option(of_file.in_order(), "stabilization", "moves")


@pytest.mark.parametrize(
    ("overrides", "spans", "kept"),
    [
        ((), 3, 4),
        (["stages.stabilization.options.smoothing=look_ahead"], 3, 7),  # its flow is computed ahead
        (["stages.stabilization.options.zooming=none", "stages.stabilization.options.border=fill"], 3, 7),
        (["stages.video.use=stages.null_sink:NullSink", "stages.video.options={}"], 3, 7),
    ],
)
def test_only_what_can_be_divided_is(
    tmp_path: Path, clip: Path, overrides: Sequence[str], spans: int, kept: int
) -> None:
    of_file = segments(tmp_path, clip, *overrides)
    assert (len(of_file.spans(0.3)), len(of_file.in_order().stages)) == (spans, kept)


def test_a_file_that_cannot_be_decoded_in_parts_is_corrected_in_one(tmp_path: Path, clip: Path) -> None:
    of_file = segments(tmp_path, clip)
    of_file.begin("a")
    (of_file.folder / "moves").write_text('{"options": {}, "whole": null}\n')
    assert of_file.shared_out([SPAN, SPAN], told()) == ([SPAN, SPAN], None)
    whole = [Span(None, None, None)]
    spans, why = of_file.shared_out([SPAN, SPAN], told({"deinterlace": "bwdif: the stream is interlaced"}))
    assert spans == whole and why == "what it shows of a frame depends on those before"
    (of_file.folder / "moves").write_text('{"options": {}, "whole": "its frames change their size"}\n')
    assert of_file.shared_out([SPAN, SPAN], told()) == (whole, "its frames change their size")


def test_what_is_of_another_configuration_is_removed_and_all_else_is_kept(tmp_path: Path, clip: Path) -> None:
    of_file = segments(tmp_path, clip)
    of_file.begin("a")
    (of_file.folder / "moves").touch()
    of_file.begin("a")
    assert (of_file.folder / "moves").exists()
    of_file.begin("b")
    assert not (of_file.folder / "moves").exists()
    of_file.end()
    assert not of_file.folder.exists()
