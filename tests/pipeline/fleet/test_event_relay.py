"""Motion events on their way from a run to the fleet."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

from pipeline.codec import encode
from pipeline.errors import TransportLost
from pipeline.fleet.control import Told
from pipeline.fleet.event_relay import EventRelay
from pipeline.fleet.facts import TellEvent
from pipeline.messages import Data, Header
from pipeline.payload.inline import InlinePayload
from pipeline.runtime.run_status import ActiveRun
from pipeline.transport.redis_server import PrivateServer
from pipeline.transport.redis_streams import RedisStreams


class Letters:
    """Where events are told; it is away as often as it is told to."""

    def __init__(self, away: int = 0) -> None:
        self.away = away
        self.told: list[tuple[str, str]] = []

    def publish(self, token: str, told: TellEvent) -> Told:
        if self.away:
            self.away -= 1
            raise TransportLost("Redis at redis://control cannot be reached")
        self.told.append((token, told.key))
        return "taken"


def add(run: RedisStreams, camera: str, *uids: str) -> None:
    """As the event log tells of events."""
    header = Header(camera, 0, Fraction(1, 25), 0)
    values = {"begun": [{"uid": uid} for uid in uids], "events": [{"uid": uids[0]}], "folder": "."}
    for message in (Data(header, "something_else", {}), Data(header, "motion_events", values)):
        run.client.xadd(run.keys.stream(camera, "motion_events"), encode(message, InlinePayload()).fields)  # type: ignore[arg-type]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_events_are_told_once_in_order_however_long_the_control_redis_is_away(redis_server: PrivateServer) -> None:
    run, letters, tokens = RedisStreams(redis_server.url, "relayed"), Letters(away=2), {"door": "7@a"}
    add(run, "door", "one", "two")
    active = ActiveRun("relayed", redis_server.url)
    verdicts = dict[str, bool]()
    cameras = lambda: ["door", "yard"]  # noqa: E731
    relay = EventRelay(active, ["motion_events"], cameras, tokens.get, letters, verdicts.__setitem__)
    relay.start()
    until(lambda: len(letters.told) == 3)
    add(run, "yard", "three")  # of a camera that this host has lost
    until(lambda: relay.counts["stale"] == 2)
    add(run, "door", "four")
    now = time.monotonic()
    until(lambda: relay.relayed_until("door") > now)
    relay.close()
    run.close()
    told = ["one.begin", "two.begin", "one.end", "four.begin", "four.end"]
    assert letters.told == [("7@a", key) for key in told]
    assert verdicts == {**dict.fromkeys(told, True), "three.begin": False, "three.end": False}
