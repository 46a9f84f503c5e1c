"""What Redis Streams do beyond the contract: a commit outlasts a server that is away for a moment."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pipeline.errors import TransportLost
from pipeline.transport import redis_streams
from pipeline.transport.base import Commit, Committed
from pipeline.transport.redis_streams import RedisStreams


class _Away(RedisStreams):
    """Its server answers the third commit."""

    def __init__(self, answers_at: int) -> None:
        self.patience_seconds = 30.0
        self.tries: list[bool] = []
        self._answers_at = answers_at

    def _commit_once(self, commits: Sequence[Commit], again: bool) -> Committed:
        self.tries.append(again)
        if len(self.tries) < self._answers_at:
            raise TransportLost("away")
        return Committed(True, 1)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(redis_streams.time, "monotonic", lambda: sum(seconds))
    monkeypatch.setattr(redis_streams.time, "sleep", seconds.append)
    return seconds


def test_a_commit_is_repeated_until_the_server_is_back_and_says_that_it_is(slept: list[float]) -> None:
    transport = _Away(answers_at=3)
    assert transport.commit_all([Commit("a", "flow", "token")]).length == 1
    assert transport.tries == [False, True, True] and slept[1] == 2 * slept[0]


def test_a_commit_gives_up_once_its_patience_is_over(slept: list[float]) -> None:
    with pytest.raises(TransportLost):
        _Away(answers_at=10**6).commit_all([Commit("a", "flow", "token")])
    assert 30 < sum(slept) < 32
