"""Options of a dataclass as options of a command."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass, field

import pytest
import typer
from typer.testing import CliRunner

from pipeline.errors import UserError
from raftline.cli.dataclass_options import with_options
from raftline.cli.evaluate import NOT_OFFERED, evaluate
from raftline.cli.flow import OF_A_STREAM, flow
from raftline.flow.options import FlowOptions, described


@dataclass(frozen=True, kw_only=True)
class Speed:
    limit_px: float | None = field(default=None, metadata=described("fastest, px", ge=1, none="no limit"))
    exact: bool = field(default=True, metadata=described("do not round"))
    name: str = field(default="x", metadata=described("how it is called"))

    def __post_init__(self) -> None:
        if self.name == "y":
            raise ValueError("name: found 'y'")


def run(*arguments: str) -> tuple[int, str, list[Speed]]:
    given: list[Speed] = []

    @with_options(Speed(exact=False), without=("name",))
    def command(file: str, options: Speed, times: int = 1) -> None:
        given.extend([options] * times)

    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})
    return done.exit_code, done.output, given


def test_a_command_gets_the_dataclass_with_its_own_defaults() -> None:
    assert run("file")[2] == [Speed(exact=False)]
    assert run("file", "--limit-px", "2.5", "--exact", "--times", "2")[2] == [Speed(limit_px=2.5, exact=True)] * 2


def test_help_says_what_the_field_says() -> None:
    code, told, _ = run("--help")
    assert code == 0
    assert "Fastest, px." in told and "(no limit)" in told and "--no-exact" in told
    assert "--name" not in told


def test_a_value_out_of_its_range_is_refused() -> None:
    code, told, given = run("file", "--limit-px", "0.5")
    assert (code, given) == (2, [])
    assert "--limit-px" in told


def test_what_the_dataclass_refuses_is_the_users_mistake() -> None:
    command = with_options(Speed())(lambda options: None)
    with pytest.raises(UserError, match="name: found 'y'"):
        command(limit_px=None, exact=True, name="y")


def test_flow_and_evaluate_offer_every_option_but_those_that_they_name() -> None:
    every = {each.name for each in dataclasses.fields(FlowOptions)}
    assert every - set(OF_A_STREAM) <= inspect.signature(flow).parameters.keys()
    assert every - set(NOT_OFFERED) <= inspect.signature(evaluate).parameters.keys()
    assert {*OF_A_STREAM, *NOT_OFFERED} <= every
