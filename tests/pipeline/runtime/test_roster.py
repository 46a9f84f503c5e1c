"""Which sources a run has while they come and go."""

from __future__ import annotations

from dataclasses import replace

from pipeline.config.plan import SourcePlan
from pipeline.runtime.roster import Roster
from pipeline.stage import SourceInfo


def source(name: str, input: str = "rtsp://host", live: bool = True, use: str = "decoder") -> SourcePlan:
    return SourcePlan(use, {}, info=SourceInfo(name, input, input, live), policy="live" if live else "lossless")


def test_a_source_that_goes_stays_until_it_is_gone_and_comes_back_with_a_life_of_its_own() -> None:
    roster = Roster({"a": source("a")})
    assert roster.want({}).removed == ("a",)
    assert roster.sources["a"].leaves
    assert roster.want({"a": source("a")}).added == ("a",)
    assert roster.sources["a"].leaves  # its stages still finish
    roster.gone("a")
    assert roster.sources["a"] == replace(source("a"), life=1)
    roster.want({})
    roster.gone("a")
    assert roster.sources == {}


def test_another_input_is_a_change_and_another_policy_or_plug_in_a_new_source() -> None:
    roster = Roster({name: source(name) for name in "abc"})
    wanted = {"a": source("a", "rtsp://other"), "b": source("b", live=False), "c": source("c", use="mine")}
    change = roster.want(wanted)
    assert (change.added, change.changed, change.removed, change.replaced) == ((), ("a",), (), ("b", "c"))
    assert roster.sources["a"] == replace(wanted["a"], revision=1)
    assert roster.sources["b"].leaves and roster.sources["b"].policy == "live"
    roster.gone("b")
    assert roster.sources["b"] == replace(wanted["b"], life=1)
    assert change.in_words() == ["restarted a with the new settings", "ended b, c, to come back as new"]


def test_what_was_told_does_not_change_with_it() -> None:
    roster = Roster({"a": source("a")})
    before = roster.sources
    roster.want({"a": source("a"), "b": source("b")})
    assert list(before) == ["a"]
