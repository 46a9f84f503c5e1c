"""A small plug-in and a configuration that uses it, in a folder of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.config import Plan, load_config, make_plan
from pipeline.errors import UserError

PLUGIN = """
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.messages import Flow, Frame, Mask
from pipeline.stage import Options, Source, Stage


class Camera(Source):
    class Options(Options):
        rate_hz: float = Field(25.0, gt=0, description="frames per second")
        size: tuple[int, int] = Field((64, 48), description="width and height in px")

    @classmethod
    def is_live(cls, input):
        return input.startswith("rtsp://")

    def read(self, start_index):
        yield from ()


class Screen(Source):
    class Options(Options):
        display: int = Field(0, description="number of the screen")

    def read(self, start_index):
        yield from ()


class Estimator(Stage):
    reads = (Frame,)
    writes = Flow

    class Options(Options):
        iterations: int = Field(12, ge=1, le=64, description="updates of the network")
        threshold: float | Literal["auto"] = Field("auto", description="px/s")
        zones: tuple[tuple[float, float], ...] = Field((), description="corners, px")

    def process(self, message):
        return ()


class Masker(Stage):
    class Options(Options):
        parallax: Literal["auto", "off"] = Field("auto", description="whether depth is told from motion")
        shadows: bool = Field(True, description="whether shadows are left out")

    reads = (Flow,)
    writes = Mask
    needs = frozenset({"confidence"})
    accuracy = "cells"

    def process(self, message):
        return ()


class Steadier(Stage):
    reads = (Flow,)
    accuracy = "coarse"

    def process(self, message):
        return ()


class Sink(Stage):
    reads = (Flow, Mask)
    needs = frozenset({"flow"})

    class Options(Options):
        path: str = Field("{source}.bin", description="where to write")

    def process(self, message):
        return ()
"""

YAML = """
name: test
sources:
  front.door: {input: clips/a.mp4}
stages:
  sink: {use: "config_plugin:Sink", reads: flow}
  masks: {use: "config_plugin:Masker", reads: flow}
  flow: {use: "config_plugin:Estimator", reads: camera, options: {iterations: 8}}
  camera: {use: "config_plugin:Camera", options: {rate_hz: 30, size: [320, 240]}}
"""


def lay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write both into `tmp_path`, make it importable and the current directory."""
    (tmp_path / "config_plugin.py").write_text(PLUGIN)
    (tmp_path / "test.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "config_plugin", raising=False)
    monkeypatch.chdir(tmp_path)


def plan(*overrides: str, **more: object) -> Plan:
    return make_plan(load_config("test.yaml", overrides=overrides, **more))  # pyright: ignore[reportArgumentType]


def refusal(*overrides: str, **more: object) -> str:
    with pytest.raises(UserError) as caught:
        plan(*overrides, **more)
    return str(caught.value)


def write(text: str) -> None:
    Path("test.yaml").write_text(text)
