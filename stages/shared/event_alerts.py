"""What stages have in common that tell somebody of motion events."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline import stage
from pipeline.errors import ConfigError
from pipeline.messages import Data, EndOfStream, Message
from stages.shared.outbox import Letter, NotTaken, Outbox, Refused

_END_SECONDS = 10.0
_STOPPED_SECONDS = 2.0
"""How long the end of a file, and of a run that is stopped, waits for a receiver. What is left then goes out with the
next run. Chosen by hand: who stops a run does not want to wait."""
_VERDICT_SECONDS, _LOOK_SECONDS = 1.0, 0.02
"""Wait for the fleet's answer, and between two looks. Chosen by hand: it takes some ms; the outbox, which tries again,
has less patience when a run ends."""


@dataclass(frozen=True)
class Alert:
    """A motion event that began or ended."""

    key: str
    """Of its own, the same when it is delivered again."""
    state: Literal["begin", "end"]
    event: Mapping[str, Any]
    """The line of the event log; of one that begins, its first keys alone."""
    thumbnail: Path | None
    """JPEG of an event that ended, if the event log writes them."""

    @classmethod
    def of(cls, letter: Letter) -> Alert:
        thumbnail = letter.body["thumbnail"]
        return cls(letter.key, letter.body["state"], letter.body["event"], Path(thumbnail) if thumbnail else None)


class EventAlerts(stage.Stage):
    """Reads an event log's stream and delivers what it tells, each event once, in order, however long that takes.

    What waits for delivery is in ``{source}.{stage}.outbox`` in the output directory.
    """

    class Options(stage.Options):
        when: Literal["begin", "end", "both"] = Field(
            "both", description="tell of events when they begin, when they end, or both"
        )
        uncertain: bool = Field(
            True, description="also tell of the end of events that may be scenery at another depth, or the camera"
        )

    reads = (Data,)
    writes = None
    work = 0.1

    def deliver(self, alert: Alert) -> None:
        """Tell of an event. Called in a thread of its own.

        Raises:
            NotTaken: To try again later.
            Refused: To give up.
        """
        raise NotImplementedError

    def open(self) -> None:
        self._outbox = Outbox(
            self.context.output("{source}.{stage}.outbox").path,
            self._deliver,
            self.context.log,
            lambda said: self.context.status(**said),
        )

    def _deliver(self, letter: Letter) -> None:
        """Deliver an alert, if this host may: where cameras are shared, once the fleet has taken its event."""
        deadline = time.monotonic() + _VERDICT_SECONDS
        while (may := self.context.may_tell(letter.key, letter.put_at)) is None:
            if time.monotonic() > deadline:
                raise NotTaken("the control Redis of the fleet has not taken the event yet")
            time.sleep(_LOOK_SECONDS)
        if not may:
            raise Refused(f"event {letter.key}: another host has the camera, and tells of what it sees")
        self.deliver(Alert.of(letter))

    def process(self, message: Data) -> Iterable[Message]:
        if message.kind != "motion_events":
            raise ConfigError(
                f"stage {self.context.stage!r} reads data of kind {message.kind!r}; it needs motion events: "
                "let it read a stage with `use: stages.event_log:EventLog`"
            )
        folder = Path(message.values["folder"])
        if self.options.when != "end":
            for event in message.values["begun"]:
                self._put("begin", event, None)
        if self.options.when != "begin":
            for event in message.values["events"]:
                if self.options.uncertain or not event["uncertain"]:
                    thumbnail = event.get("thumbnail")
                    self._put("end", event, str(folder / thumbnail) if thumbnail else None)
        return ()

    def flush(self, end: EndOfStream) -> Iterable[Message]:
        seconds = _END_SECONDS if end.reason == "end" else _STOPPED_SECONDS
        if left := self._outbox.drain(seconds):
            self.context.log.warning("%d alerts are left; the next run with this output directory delivers them", left)
        return ()

    def close(self) -> None:
        if outbox := getattr(self, "_outbox", None):
            outbox.close()

    def _put(self, state: str, event: Mapping[str, Any], thumbnail: str | None) -> None:
        self._outbox.put(f"{event['uid']}.{state}", {"state": state, "event": event, "thumbnail": thumbnail})
