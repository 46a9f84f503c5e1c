"""What a batch's process does for one file: all of it, or one task of a long file that is worked on in segments.

A file begins with the task ``begin``. Its answer, like that of any other task, is how it ended (``error``, ``left`` or
``said`` and ``outputs``), or which tasks come ``next``, which one ``then``, when those are done, and which ``helpers``
may run meanwhile.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.config.plan import Plan, StagePlan
from pipeline.runtime.context import WorkerContext
from pipeline.runtime.cores import share_cores
from pipeline.runtime.output_lock import Run
from pipeline.runtime.summary import write_summary
from pipeline.segments import Gathers, Span, WorksInSegments
from raftline.cli.batch.files import EARLIER_OUTPUTS, FINGERPRINT, REAL_PATH, BatchFile, outputs_in, read_summary
from raftline.cli.batch.segments import Segments
from raftline.cli.batch.summaries import Told, gathered, merged, said_before

_PARTS_OF_A_SEGMENT = 4
"""Each computed ahead by a task of its own: the shorter the first, the sooner the run in order finds what it needs.
Chosen by hand: a task takes some tenths of a second to begin."""
_IN_ORDER, _SUMMARY = "in-order.json", "summary.json"


class FileTasks:
    """The tasks of one file.

    Args:
        plan: Of the file in one piece.
        file: The file.
        supervised: Runs a plan to its end, with the name of its summary, and returns that.
        lock: By which the tasks of this batch share the outputs.
    """

    def __init__(
        self,
        plan: Plan,
        file: BatchFile,
        supervised: Callable[[Plan, str], Told],
        lock: Run,
    ) -> None:
        self._plan, self._file, self._supervised, self._lock = plan, file, supervised, lock
        self._segments = Segments(plan, file.name)

    def do(self, task: Told) -> Told:
        """Do a task; the answer."""
        tasks = {"begin": self._begin, "measure": self._measure, "path": self._path, "in-order": self._in_order}
        return (tasks | {"ahead": self._ahead, "rest": self._rest, "join": self._join})[task["do"]](task)

    def _begin(self, task: Told) -> Told:
        seconds = task["segment_seconds"]
        spans = self._segments.spans(seconds) if seconds else []
        if not spans:
            return self._all()
        sections = self._segments.sections()
        self._segments.begin(f"{self._file.fingerprint(self._plan)} {spans} {sections}")
        if not sections:
            return self._go_in_order(spans, seconds)
        numbers = [number for number, _ in sections]
        ends = [*numbers[1:], None]
        measure = [
            {"do": "measure", "number": number, "span": span, "end": end, "place": place}
            for place, ((number, span), end) in enumerate(zip(sections, ends, strict=True))
        ]
        return {"next": measure, "then": {**task, "do": "path", "spans": spans, "numbers": numbers}}

    def _go_in_order(self, spans: Sequence[Span], seconds: float) -> Told:
        parts = self._segments.spans(seconds / _PARTS_OF_A_SEGMENT)
        ahead = [{"do": "ahead", "number": k, "span": part, "at": k / len(parts)} for k, part in enumerate(parts)]
        return {"next": [{"do": "in-order", "spans": spans}], "helpers": ahead[1:]}

    def _all(self) -> Told:
        earlier = self._outputs_before()
        summary = self._supervised(self._plan, self._file.summary_name)
        return self._concluded(summary, earlier)

    def _measure(self, task: Told) -> Told:
        plan = self._segments.measure(task["number"], Span(*task["span"]), task["end"])
        if said_before(plan.output / _SUMMARY) is None:
            answer = self._unfinished(self._supervised(plan, _SUMMARY))
            if answer is not None and answer["error"] == "interrupted":
                return answer
        return {}  # where it failed, the file goes in order

    def _path(self, task: Told) -> Told:
        spans = [Span(*span) for span in task["spans"]]
        folders = [self._segments.part(f"measure-{number}") for number in task["numbers"]]
        measured = [told for folder in folders if (told := said_before(folder / _SUMMARY)) is not None]
        if len(measured) < len(folders) or not all(self._segments.as_in_whole(told, spans[0]) for told in measured):
            return self._go_in_order(spans, task["segment_seconds"])
        stage, said = self._segments.gathering(), dict[str, str]()
        begin, cpu_begin = time.monotonic(), time.process_time()
        context = self._context(stage, said)
        assert issubclass(stage.cls, Gathers)
        try:
            frames = stage.cls.gather(stage.options, context, folders)
        finally:
            context.close()
        took = time.monotonic() - begin, time.process_time() - cpu_begin
        told = gathered(measured, self._file.name, stage.name, said, frames, took)
        write_summary(self._segments.folder / _IN_ORDER, told)
        return self._in_order(task)

    def _in_order(self, task: Told) -> Told:
        spans = [Span(*span) for span in task["spans"]]
        file = self._segments.folder / _IN_ORDER
        told = said_before(file)
        if told is None:
            told = self._supervised(self._segments.in_order(), f"{file.parent.name}/{file.name}")
            if (answer := self._unfinished(told)) is not None:
                return answer
        self._segments.close_ahead()
        spans, _ = self._segments.shared_out(spans, told)
        rests = [{"do": "rest", "number": k, "span": span} for k, span in enumerate(spans)]
        join = {"do": "join", "count": len(rests)}
        return {"next": rests, "then": join} if rests else {"next": [join]}

    def _ahead(self, task: Told) -> Told:
        number, span = task["number"], Span(*task["span"])
        in_order = share_cores(self._segments.in_order())
        plan = self._segments.ahead(number, span, in_order)
        if plan is not None and said_before(plan.output / _SUMMARY) is None:
            self._supervised(plan, _SUMMARY)
        return {}

    def _rest(self, task: Told) -> Told:
        told = said_before(self._segments.folder / _IN_ORDER)
        assert told is not None
        plan = self._segments.rest(task["number"], Span(*task["span"]), told)
        if said_before(plan.output / _SUMMARY) is None:
            return self._unfinished(self._supervised(plan, _SUMMARY)) or {}
        return {}

    def _join(self, task: Told) -> Told:
        earlier, name = self._outputs_before(), self._file.name
        parts = [self._segments.part(f"rest-{number}") for number in range(task["count"])]
        in_order = said_before(self._segments.folder / _IN_ORDER)
        earlier_tasks = sorted(
            each for kind in ("measure", "ahead") for each in self._segments.folder.glob(f"{kind}-*")
        )
        folders = [*earlier_tasks, *parts]
        others = {folder.name: told for folder in folders if (told := said_before(folder / _SUMMARY)) is not None}
        assert in_order is not None
        joined: dict[str, dict[str, str]] = {}
        for stage in self._segments.last_stages() if parts else []:
            said = joined.setdefault(stage.name, {})
            context = self._context(stage, said)
            assert issubclass(stage.cls, WorksInSegments)
            try:
                stage.cls.join(stage.options, context, parts)
            finally:
                context.close()
        summary = merged(in_order, others, joined, name)
        answer = self._concluded(summary | {"pipeline": self._plan.name}, earlier)
        self._segments.end()
        return answer

    def _context(self, stage: StagePlan, said: dict[str, str]) -> WorkerContext:
        """What a stage needs that works on the whole file in this process."""
        source = self._plan.sources[self._file.name]
        given = (stage.name, source, self._plan.output, stage.needs, self._plan.cores)
        return WorkerContext(*given, on_status=said.update, run=self._lock)

    def _unfinished(self, told: Told) -> Told | None:
        """The answer of a task whose run was stopped or failed."""
        answer = self._answer(told)
        if answer["error"] is not None:
            return answer
        return None if told["state"] == "finished" else {"error": "interrupted"}

    def _outputs_before(self) -> set[str]:
        return outputs_in(read_summary(self._plan.output / self._file.summary_name))

    def _concluded(self, summary: Told, earlier: set[str]) -> Told:
        """Write the summary of the file; the answer."""
        file = self._file
        of_batch: Told = {
            FINGERPRINT: file.fingerprint(self._plan),
            REAL_PATH: None if "://" in file.path else os.path.realpath(file.path),
            EARLIER_OUTPUTS: sorted(path for path in earlier - outputs_in(summary) if os.path.exists(path)),
        }
        write_summary(Path(self._plan.output) / file.summary_name, {**summary, **of_batch})
        return self._answer(summary)

    def _answer(self, summary: Told) -> Told:
        source = summary["sources"][self._file.name]
        letters = [letter["error"] for letter in summary.get("dead_letters", [])]
        error = source["error"] or (f"{len(letters)} messages were given up: {letters[0]}" if letters else None)
        if error is None and source["state"] == "failed":
            error = "failed"
        said = f"{source['state']}, {source['frames_decoded']} frames, {summary['seconds']:.1f} s"
        return {"error": error, "said": said, "outputs": source["outputs"]}
