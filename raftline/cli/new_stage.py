"""``stages new``: a stage of one's own to begin with, its test, and a configuration that runs it."""

from __future__ import annotations

import importlib.util
import keyword
import re
from pathlib import Path
from typing import Annotated

import typer

from pipeline.errors import ConfigError, OutputError
from raftline.cli.arguments import Debug
from raftline.cli.failures import reported

_STAGE = '''"""What your stage is for, in a line."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from pydantic import Field

from pipeline import stage
from pipeline.messages import Frame


class OwnStage(stage.Stage):
    """Makes frames brighter or darker."""

    class Options(stage.Options):
        gain: float = Field(1.5, gt=0, le=10, description="factor on brightness; 1 changes nothing")

    reads, writes = (Frame,), Frame

    def process(self, message: Frame) -> Iterable[Frame]:
        first, *others = message.planes  # of yuv420p: brightness, then two of color
        largest = 1023 if message.format == "yuv420p10" else 255
        brighter = np.asarray(first) * self.options.gain  # a new array: those of messages are read-only
        yield replace(message, planes=(brighter.clip(0, largest).astype(first.dtype), *others))
'''
_TEST = """from pathlib import Path

import numpy as np
from own_stage import OwnStage

from pipeline.testing import make_frame, run_pipeline, run_stage


def test_a_frame_becomes_brighter():
    frame = make_frame(np.full((48, 64), 100, np.uint8))
    (made,) = run_stage(OwnStage, [frame], {"gain": 1.5})
    assert (made.planes[0] == 150).all()


def test_the_pipeline_runs(tmp_path):
    messages = run_pipeline(Path(__file__).with_name("own_stage.yaml"), "own_stage", output=tmp_path)
    assert len(messages) == 31  # 30 frames and the end
    assert (tmp_path / "rendered.own_stage.mp4").exists()
"""
_CONFIGURATION = """# raftline run own_stage.yaml; with your video: raftline run own_stage.yaml -i my.mp4
name: own_stage
sources:
  rendered: {input: synthetic, use: "stages.synthetic:SyntheticSource", options: {width: 320, height: 180, seconds: 1}}
stages:
  decoder: {use: "stages.decoder:Decoder"}
  own_stage: {use: "./own_stage.py:OwnStage", reads: decoder, options: {gain: 1.5}}
  video: {use: "stages.video_writer:VideoWriter", reads: own_stage, options: {path: "{source}.own_stage.mp4"}}
"""
_FILES = {"own_stage.py": _STAGE, "test_own_stage.py": _TEST, "own_stage.yaml": _CONFIGURATION}


@reported
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Of the stage and its file, such as speed_log.", show_default=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where to write them.")] = Path("."),
    debug: Debug = False,
) -> None:
    """Write a stage to begin with, its test and a configuration. What is there already stays as it is.

    \b
    raftline stages new speed_log
    """
    class_name = _class_name(name, output)
    texts = {output / _named(file, name, class_name): _named(text, name, class_name) for file, text in _FILES.items()}
    there = [str(file) for file in texts if file.exists()]
    if there:
        raise OutputError(f"{', '.join(there)}: there already, and left as it is; remove it, or choose another name")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with file.open("x", encoding="utf-8") as new_file:
                new_file.write(text)
            print(file)
    except OSError as error:
        raise OutputError(f"cannot write into {output}: {error.strerror}; choose another folder with -o") from error
    print(f"test it: python -m pytest {output / f'test_{name}.py'}")
    print(f"run it: raftline run {output / f'{name}.yaml'}; with breakpoint() in it: add --in-process")


def _named(text: str, name: str, class_name: str) -> str:
    return text.replace("own_stage", name).replace("OwnStage", class_name)


def _class_name(name: str, folder: Path) -> str:
    """``speed_log`` -> ``SpeedLog``. Raises `ConfigError` for what cannot be a module of its own."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise ConfigError(f"{name!r}: allowed: a name of a Python module, of a-z 0-9 _, such as speed_log")
    spec = importlib.util.find_spec(name)
    if spec is not None and spec.origin != str((folder / f"{name}.py").resolve()):
        raise ConfigError(f"{name!r}: Python has a module of this name ({spec.origin}); choose another")
    return "".join(part.capitalize() for part in name.split("_"))
