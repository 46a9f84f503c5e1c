"""A long file in segments: the plan of each task, and what is left of it for the others.

All that tasks leave lies in a folder beside the outputs, ``.NAME.segments``, until the file is finished: a task that
was finished before is not done again, whoever asks for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.plan import Plan, SourcePlan, StagePlan
from pipeline.segments import (
    ComputesAhead,
    CutsFiles,
    Divides,
    Division,
    Gathers,
    Span,
    WorksInSections,
    WorksInSegments,
)
from pipeline.transport.keys import key_part

_AHEAD = "ahead"
_WHOLE = Span(None, None, None)


@dataclass(frozen=True)
class Segments:
    """How the work on one file is shared out.

    Args:
        plan: Of the file in one piece.
        name: Of its source.
    """

    plan: Plan
    name: str

    @property
    def folder(self) -> Path:
        """Where tasks leave what others need."""
        return self.plan.output / f".{self.name}.segments"

    def spans(self, seconds: float) -> list[Span]:
        """Segments of about `seconds`; none for a short file, and where nothing could be shared out.

        Raises:
            InputError: If the file cannot be read.
        """
        source = self._source
        if not issubclass(source.cls, CutsFiles) or source.info.read_once or source.policy == "live":
            return []
        if self._divided is None and self._ahead is None:
            return []
        return source.cls.cut(source.options, source.info.input, seconds)

    def sections(self) -> list[tuple[int, Span]]:
        """Sections that can be measured separately, by number; none where all has to go in order.

        Raises:
            InputError: If the file cannot be read.
        """
        source, stages = self._source, list(self.in_order().stages.values())[1:]
        works = {each.cls.sections(each.options) if issubclass(each.cls, WorksInSections) else None for each in stages}
        sections = works.pop() if len(works) == 1 else None
        gathers = self._divided is not None and issubclass(self.plan.stages[self._divided[0]].cls, Gathers)
        if sections is None or not gathers or not issubclass(source.cls, CutsFiles):
            return []
        return source.cls.cut_sections(source.options, source.info.input, sections)

    def begin(self, fingerprint: str) -> None:
        """Make the folder, without anything that is of another file or configuration."""
        said = self.folder / "fingerprint"
        if not said.exists() or said.read_text() != fingerprint:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            said.write_text(fingerprint)

    def end(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def in_order(self) -> Plan:
        """The run that goes through the whole file: all stages but those that work on segments later."""
        given, left_out = {}, set[str]()
        if self._divided is not None:
            name, division = self._divided
            given[name], left_out = division.in_order, self._after(name)
        if self._ahead is not None:
            name, options = self._ahead
            given[name] = options
        kept = {name: stage for name, stage in self.plan.stages.items() if name not in left_out}
        return self._with("in-order", {name: _over(stage, given.get(name, {})) for name, stage in kept.items()})

    def ahead(self, number: int, span: Span, in_order: Plan) -> Plan | None:
        """The run that computes ahead what it can of a segment, with as many threads as the one `in_order`."""
        source = self._source
        if self._ahead is None:
            return None
        assert issubclass(source.cls, CutsFiles)
        name, options = self._ahead
        # From the key frame before: a flow that starts from the one before it has settled when the segment begins.
        cls, of_span = self.plan.stages[name].cls, source.cls.of_span(span._replace(first=span.seek), {})
        assert issubclass(cls, ComputesAhead)
        if of_span is None:
            return None
        stage = replace(
            _over(self.plan.stages[name], options), use=cls.ahead_stage(), threads=in_order.stages[name].threads
        )
        stages = {self.plan.source_stage: self.plan.stages[self.plan.source_stage], name: stage}
        return self._with(f"ahead-{number}", stages, of_span, self.part(f"ahead-{number}"))

    def measure(self, number: int, span: Span, end: int | None) -> Plan:
        """The run that measures a section; and those up to the section `end`, or the end of the file."""
        source = self._source
        assert self._divided is not None and issubclass(source.cls, CutsFiles)
        name, of_span = self._divided[0], source.cls.of_span(span, {})
        cls, stages = self.plan.stages[name].cls, self.in_order().stages
        assert issubclass(cls, Gathers)
        stages = {
            each: _over(self.plan.stages[each], cls.of_section(number, end) if each == name else {}) for each in stages
        }
        return self._with(f"measure-{number}", stages, of_span or {}, self.part(f"measure-{number}"))

    def gathering(self) -> StagePlan:
        """The stage that makes of all sections what a run in order makes of the file."""
        assert self._divided is not None
        name, division = self._divided
        return _over(self.plan.stages[name], division.in_order)

    def close_ahead(self) -> None:
        """Let runs that compute ahead end: `in_order` is through."""
        folder = self.folder / _AHEAD
        folder.mkdir(exist_ok=True)
        (folder / "closed").touch()

    def shared_out(self, spans: Sequence[Span], told: Mapping[str, Any]) -> tuple[list[Span], str | None]:
        """Segments for `rest` once `in_order` is through, and why there is only one, if so.

        Args:
            spans: Those of the file.
            told: The summary of the run in order.
        """
        source = self._source
        if self._divided is None:
            return [], None
        cls = self.plan.stages[self._divided[0]].cls
        assert issubclass(cls, Divides) and issubclass(source.cls, CutsFiles)
        why = cls.in_one_piece(str(self._moves))
        if why is None:
            able = all(self.as_in_whole(told, span) for span in spans)
            why = None if able else "what it shows of a frame depends on those before"
        return ([_WHOLE], why) if why else (list(spans), None)

    def as_in_whole(self, told: Mapping[str, Any], span: Span) -> bool:
        """Whether frames of a segment are the same as in the whole file, after what a run said of it."""
        source = self._source
        assert issubclass(source.cls, CutsFiles)
        said = told["sources"][self.name]["stages"][self.plan.source_stage]
        return source.cls.of_span(span, said) is not None

    def rest(self, number: int, span: Span, told: Mapping[str, Any]) -> Plan:
        """The run that does for a segment what `in_order` has left."""
        source = self._source
        assert self._divided is not None and issubclass(source.cls, CutsFiles)
        name, division = self._divided
        said = told["sources"][self.name]["stages"][self.plan.source_stage]
        of_span = {} if span == _WHOLE else source.cls.of_span(span, said)
        given = {**division.given, "span": list(span)}
        stages = {self.plan.source_stage: self.plan.stages[self.plan.source_stage]}
        stages[name] = replace(self.plan.stages[name], use=division.use, given=given, reads=self.plan.source_stage)
        for after in self.plan.stages:
            if after in self._after(name):
                stages[after] = _of_segment(self.plan.stages[after])
        return self._with(f"rest-{number}", stages, of_span or {}, self.part(f"rest-{number}"))

    def part(self, task: str) -> Path:
        """Where a task's own outputs lie."""
        return self.folder / task

    def last_stages(self) -> list[StagePlan]:
        """Those whose outputs of all segments are to be joined."""
        return [] if self._divided is None else [self.plan.stages[name] for name in self._after(self._divided[0])]

    @property
    def _source(self) -> SourcePlan:
        return self.plan.sources[self.name]

    @property
    def _moves(self) -> Path:
        return self.folder.absolute() / "moves"

    @property
    def _divided(self) -> tuple[str, Division] | None:
        """The one stage that can be divided, if all that read from it can work on segments."""
        found = []
        for name, stage in self.plan.stages.items():
            if issubclass(stage.cls, Divides) and (how := stage.cls.divided(stage.options, str(self._moves))):
                found.append((name, how))
        if len(found) != 1:
            return None
        after = self._after(found[0][0])
        able = after and all(issubclass(self.plan.stages[name].cls, WorksInSegments) for name in after)
        return found[0] if able else None

    @property
    def _ahead(self) -> tuple[str, Mapping[str, Any]] | None:
        """The one stage that reads the source and can be computed ahead, and its options for it."""
        for name, stage in self.plan.stages.items():
            if issubclass(stage.cls, ComputesAhead) and stage.reads == self.plan.source_stage:
                given = stage.cls.ahead(stage.options, stage.needs, str(self.folder.absolute() / _AHEAD))
                return None if given is None else (name, given)
        return None

    def _after(self, name: str) -> set[str]:
        """The stages that read from one, at any distance."""
        after: set[str] = set()
        for other, stage in self.plan.stages.items():  # in topological order
            if stage.reads == name or stage.reads in after:
                after.add(other)
        return after

    def _with(
        self,
        task: str,
        stages: Mapping[str, StagePlan],
        of_source: Mapping[str, Any] | None = None,
        output: Path | None = None,
    ) -> Plan:
        source = replace(self._source, given={**self._source.given, **(of_source or {})})
        return replace(
            self.plan,
            name=key_part(f"{self.plan.name}.{task}"),
            stages={name: _read_by(stage, stages) for name, stage in stages.items()},
            sources={self.name: source},
            output=output or self.plan.output,
        )


def _over(stage: StagePlan, given: Mapping[str, Any]) -> StagePlan:
    return replace(stage, given={**stage.given, **given})


def _of_segment(stage: StagePlan) -> StagePlan:
    assert issubclass(stage.cls, WorksInSegments)
    return replace(stage, use=stage.cls.of_segment() or stage.use)


def _read_by(stage: StagePlan, stages: Mapping[str, StagePlan]) -> StagePlan:
    return replace(stage, readers=tuple(other for other, each in stages.items() if each.reads == stage.name))
