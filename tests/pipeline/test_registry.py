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


class Lone(Good):
    reads = Flow


class Listed(Good):
    reads = ("Flow",)


class Boxed(Good):
    writes = (Flow,)


class Spelled(Good):
    needs = "flow"


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
        (
            "plug:Godo",
            "has no class 'Godo'; its stages: Good, Unfinished, Deaf, Careless, Vague, Retaining, Together, ",
        ),
        ("plug:Godo", "; did you mean 'Good'?"),
        ("plug:number", "is not a stage: found 3, expected a subclass of"),
        ("plug:Unfinished", "it does not implement process"),
        ("plug:Deaf", "declares no message class in `reads`"),
        ("plug:Vague", "accuracy: found 'rough', expected one of coarse, cells, pixels, full"),
        ("plug:Lone", "reads: found a class alone; write a tuple: reads = (Flow,)"),
        ("plug:Listed", "reads: found 'Flow'; allowed: a tuple of Frame, Flow, Mask, "),
        ("plug:Boxed", "writes: found Flow; allowed: None or one of Frame, Flow, "),
        ("plug:Boxed", "; write the class alone: writes = Flow"),
        ("plug:Spelled", "needs: found text; write a set: needs = frozenset({'flow'})"),
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


def test_a_stage_may_lie_in_a_single_file_with_modules_and_files_beside_it(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "table.csv").write_text("1,2\n")
    (own / "beside_it.py").write_text("NUMBER = 5\n")
    (own / "my_stage.py").write_text(f"{STAGE}\nfrom beside_it import NUMBER\n")
    use = f"{own}/my_stage.py:Good"
    cls = registry.load(use)
    assert cls is registry.load(use)
    assert (cls.__module__, sys.modules["my_stage"].NUMBER) == ("my_stage", 5)
    assert cls.own_file("table.csv").read_text() == "1,2\n"
    with pytest.raises(PluginError, match=r"Good needs its file 'model\.onnx', which is not in .*own; copy it there"):
        cls.own_file("model.onnx")


def test_a_file_with_the_name_of_a_module_hides_it_from_nobody(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own/json.py").write_text(STAGE)
    cls = registry.load(f"{tmp_path}/own/json.py:Good")
    assert cls.__module__.startswith("json_") and not hasattr(sys.modules["json"], "Good")


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (
            "./plgu.py:Good",
            "there is no file {folder}/plgu.py; Python files in its folder: broken.py, needy.py, plug.py",
        ),
        ("./plug.py", "is a file, and no class in it is named: write FILE:CLASS; its stages: Good, "),
        ("./plug.py:Godo", "did you mean 'Good'?"),
        ("./plug.py:Unfinished", "it does not implement process"),
        (
            "./broken.py:Stage",
            "cannot import './broken.py:Stage': ValueError: no camera here (at {folder}/broken.py:2)",
        ),
        ("./needy.py:Stage", "needy.py needs no-such-thing>=2, not installed here; install with: "),
        ("./needy.py:Stage", "-m pip install 'no-such-thing>=2'"),
    ],
)
def test_a_single_file_that_is_no_stage_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, use: str, words: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "broken.py").write_text("x = 1\nraise ValueError('no camera here')\n")
    needs = ["# /// script", "# dependencies = [", '#   "numpy",', '#   "no-such-thing>=2",', "# ]", "# ///"]
    (folder / "needy.py").write_text("\n".join([*needs, "import no_such_thing"]))
    assert words.format(folder=folder) in refusal(use)


def test_an_option_without_its_type_is_refused_in_a_line_that_says_what_to_write(folder: Path) -> None:
    (folder / "untyped.py").write_text("from pipeline import stage\nclass Options(stage.Options):\n    gain = 1.5\n")
    said = refusal("untyped:Stage")
    assert "`gain = 1.5`" in said and "write `name: type = value`" in said and "\n" not in said


def test_what_a_plug_in_imports_in_vain_is_named_with_how_to_install_it(folder: Path) -> None:
    (folder / "broken.py").write_text("import no_such_thing.inner\n")
    assert f"install with: {sys.executable} -m pip install no_such_thing, or the package" in refusal("broken:Stage")
