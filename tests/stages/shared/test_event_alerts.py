"""Alerts of a run that shares its cameras with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.testing import TestContext
from stages.shared import event_alerts, outbox
from stages.shared.event_alerts import Alert, EventAlerts
from tests.stages.alerting import told, until


class Kept(EventAlerts):
    """Keeps what it delivers."""

    def open(self) -> None:
        self.delivered = list[str]()
        super().open()

    def deliver(self, alert: Alert) -> None:
        self.delivered.append(alert.key)


class OfAFleet(TestContext):
    """Whose host has heard so much."""

    verdicts: dict[str, bool]

    def may_tell(self, key: str, seen_at: float) -> bool | None:
        return self.verdicts.get(key)


def test_an_event_is_told_once_the_fleet_has_taken_it_and_never_when_another_host_has_the_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(event_alerts, "_VERDICT_SECONDS", 0.0)
    context = OfAFleet(directory=tmp_path)
    context.verdicts = {"uid-1.begin": False}
    alerts = Kept(Kept.Options.model_validate({}), context)
    alerts.open()
    alerts.process(told(0, tmp_path, begun=(1, 2)))
    until(lambda: "has not taken the event yet" in str(context.said.get("receiver")))
    assert alerts.delivered == []
    context.verdicts["uid-2.begin"] = True
    until(lambda: alerts.delivered == ["uid-2.begin"])
    alerts.close()
