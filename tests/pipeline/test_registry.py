"""Names to classes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import registry
from pipeline.errors import PluginError

STAGE = """
from pipeline.messages import Flow
from pipeline.stage import Options, Stage


class Good(Stage):
    reads = (Flow,)

    def process(self, message):
        return ()


class Unfinished(Stage):
    reads = (Flow,)


class Deaf(Stage):
    def process(self, message):
        return ()


class Careless(Good):
    Options = dict


class Vague(Good):
    accuracy = "rough"


class Retaining(Good):
    def retained(self):
        return 1


class Together(Good):
    @classmethod
    def begin_together(cls, waiting):
        pass


number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An importable directory; what is imported from it is forgotten after the test."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    (tmp_path / "plug.py").write_text(STAGE)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def refusal(use: str) -> str:
    with pytest.raises(PluginError) as caught:
        registry.load(use)
    return str(caught.value)


def test_module_and_class_name_a_stage(folder: Path) -> None:
    assert registry.load("plug:Good").__name__ == "Good"


def test_a_stage_may_lie_in_a_package(folder: Path) -> None:
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("")
    (folder / "package" / "inner.py").write_text(STAGE)
    assert registry.load("package.inner:Good").__module__ == "package.inner"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("plug:Godo", "has no class 'Godo'; its stages: Good, Unfinished, Deaf, Careless, Vague, Retaining, Together;"),
        ("plug:Godo", "; did you mean 'Good'?"),
        ("plug:number", "is not a stage: found 3, expected a subclass of"),
        ("plug:Unfinished", "it does not implement process"),
        ("plug:Deaf", "declares no message class in `reads`"),
        ("plug:Vague", "accuracy: found 'rough', expected one of coarse, cells, full"),
        ("plug:Careless", "expected a subclass of pipeline.stage.Options"),
        ("plug:Retaining", "defines 'retained', which is now called 'unacked_window': rename it"),
        ("plug:Together", "defines 'begin_together', which is now called 'prepare_batch': rename it"),
        ("plug:", "names no class: write module:Class"),
        (":Good", "names no class: write module:Class"),
        ("plgu:Good", "there is no module 'plgu'. Install it, or put it beside the configuration file"),
        ("plug.sub:Good", "there is no module 'plug.sub'"),
    ],
)
def test_what_is_no_stage_is_refused(folder: Path, use: str, words: str) -> None:
    assert words in refusal(use)


@pytest.mark.parametrize(
    ("code", "words", "line"),
    [
        ("x = 1\nraise ValueError('no camera here')\n", "ValueError: no camera here", 2),
        ("\n\nimport no_such_thing_at_all\n", "ModuleNotFoundError: No module named 'no_such_thing_at_all'", 3),
        ("def f(:\n", "SyntaxError", 1),
        ("import sys\n\n\nsys.exit(3)\n", "SystemExit: 3", 4),
        ("import json\njson.loads('x')\n", "JSONDecodeError", 2),
    ],
)
def test_a_plug_in_that_raises_at_import_is_named_with_its_own_line(
    folder: Path, code: str, words: str, line: int
) -> None:
    (folder / "broken.py").write_text(code)
    said = refusal("broken:Stage")
    assert words in said
    assert f"(at {folder / 'broken.py'}:{line})" in said


def test_an_installed_plug_in_is_found_by_its_entry_point(folder: Path) -> None:
    info = folder / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[raftline.stages]\nacme_blur = plug:Good\n")
    assert registry.names()["acme_blur"] == "plug:Good"
    assert registry.load("acme_blur").__name__ == "Good"
    assert "no stage is called 'acme_blr'" in refusal("acme_blr")
    assert "did you mean 'acme_blur'?" in refusal("acme_blr")


def test_the_search_path_comes_last_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    registry.add_search_path([folder / "x", folder / "x"])
    assert sys.path[-1] == str(folder / "x")
    assert sys.path.count(str(folder / "x")) == 1
