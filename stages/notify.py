"""Sends motion events to people."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pydantic import Field, field_validator

from pipeline import stage
from pipeline.errors import ConfigError
from pipeline.messages import Data, Message
from stages.shared.event_alerts import Alert, EventAlerts
from stages.shared.outbox import NotTaken


class Notify(EventAlerts):
    """Sends a message for each motion event, by e-mail, Telegram, ntfy, Pushover and whatever else Apprise knows.

    A message that is to tell of the end has the event's thumbnail, if the event log writes them. If one of several
    addresses does not take a message, it is sent to all of them again.
    """

    class Options(EventAlerts.Options):
        urls: list[str] = Field(
            ..., min_length=1, description="addresses as Apprise writes them, such as ntfys://my-topic or mailtos://..."
        )
        pause_seconds: float = Field(
            60.0, ge=0, description="least time between the begins of events that are told, s; the others are counted"
        )

        @field_validator("urls")
        @classmethod
        def _are_told_apart(cls, urls: list[str]) -> list[str]:
            for number, url in enumerate(urls, 1):
                if "://" not in url:
                    raise ValueError(f"address {number} of {len(urls)} has no ://; see the list of Apprise's services")
            return urls

    @classmethod
    def modules(cls, given: Mapping[str, Any]) -> Iterable[str]:
        return ("apprise",)

    def __init__(self, options: Options, context: stage.Context) -> None:
        super().__init__(options, context)
        self._last_begin: float | None = None
        self._quiet: list[str] = []
        """uids of events that began too soon after another, and have not ended."""

    def open(self) -> None:
        try:
            import apprise
        except ImportError as error:
            raise ConfigError("notify needs the package apprise: pip install 'raftline[events]'") from error
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines hold addresses, with their passwords
        self._apprise = apprise
        self._people = apprise.Apprise()
        for number, url in enumerate(self.options.urls, 1):
            if not self._people.add(url):
                service = url.partition("://")[0]
                raise ConfigError(
                    f"stage {self.context.stage!r}: Apprise does not understand address {number} of "
                    f"{len(self.options.urls)} ({service}://...); see the list of its services"
                )
        super().open()

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self._last_begin, self._quiet = snapshot["last_begin"], list(snapshot["quiet"])

    def snapshot(self) -> Mapping[str, Any]:
        return {"last_begin": self._last_begin, "quiet": self._quiet}

    def process(self, message: Data) -> Iterable[Message]:
        values = message.values
        begun = [event for event in values["begun"] if self._is_due(event)]
        ended = [event for event in values["events"] if event["uid"] not in self._quiet]
        over = {event["uid"] for event in values["events"]}
        self._quiet = [uid for uid in self._quiet if uid not in over]
        told = Data(message.header, message.kind, {**values, "begun": begun, "events": ended})
        return super().process(told)

    def deliver(self, alert: Alert) -> None:
        attached = str(alert.thumbnail) if alert.thumbnail is not None and alert.thumbnail.exists() else None
        if not self._people.notify(body=_text(alert), title=f"Motion: {alert.event['source']}", attach=attached):
            raise NotTaken("not every address took the message")

    def _is_due(self, event: Mapping[str, Any]) -> bool:
        begin = float(event["begin_seconds"])
        if self._last_begin is not None and 0 <= begin - self._last_begin < self.options.pause_seconds:
            self._quiet.append(event["uid"])
            self.context.count("not_told")
            return False
        self._last_begin = begin
        return True


def _text(alert: Alert) -> str:
    event = alert.event
    begin = _clock(event.get("begin_time")) or f"at {event['begin_seconds']:.1f} s"
    if alert.state == "begin":
        return f"Something began to move {begin}."
    text = f"Something moved {begin}, for {event['duration_seconds']:.1f} s."
    return text + " It may be scenery at another depth, or the camera." * event["uncertain"]


def _clock(begin_time: str | None) -> str:
    """Of this machine's time zone."""
    if begin_time is None:
        return ""
    return f"{datetime.fromisoformat(begin_time.replace('Z', '+00:00')).astimezone():at %H:%M:%S on %Y-%m-%d}"
