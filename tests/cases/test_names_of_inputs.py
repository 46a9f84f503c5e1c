"""However a file is named, every reader of the input finds it: `2024-01-01T10:20:30.mp4` lost its sound."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config import load_config, make_plan, source_name
from pipeline.errors import ConfigError
from stages.decoder import Decoder
from tests.cases.copies import copied, tracks
from tests.cases.films import Sound, film

NAMES = ("2024-01-01T10:20:30.mp4", "100 %.mp4", "-v.mp4", "a%20b%d.mp4", "http:x.mp4", "~x.mp4", "日本語.mp4")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_named_from_inside_its_folder_keeps_its_sound(home, name):
    film(home / name, frames=3, sounds=[Sound()])
    copy = copied(name, home / "out")
    assert len(copy.frames) == 3 and len(tracks(copy.path, "audio")) == 1


@pytest.mark.parametrize("given", ["file://{}/a%20%C3%BC%25.mp4", "file://localhost{}/a%20ü%25.mp4", "~/a ü%.mp4"])
def test_a_file_url_and_the_home_folder_keep_the_sound(home, given):
    film(home / "a ü%.mp4", frames=3, sounds=[Sound()])
    input = given.format(home)
    Decoder.check_input(input, input)
    assert len(tracks(copied(input, home / "out").path, "audio")) == 1


def test_a_writer_that_cannot_read_the_input_again_says_so(home, caplog):
    film(home / "a.mp4", frames=3, sounds=[Sound()])
    copy = copied("a.mp4", home / "out", before_end=lambda: os.remove("a.mp4"))
    assert copy.said["audio"] == "none: the input cannot be read again (no such file or directory)"
    assert "a.mp4: the file cannot be read again" in caplog.text


@pytest.mark.parametrize("given", ["file://{}/a.stabilized.mp4", "~/a.stabilized.mp4", "{}/a.stabilized.mp4"])
def test_an_output_never_replaces_its_input_however_that_is_named(home, given):
    film(home / "a.stabilized.mp4", frames=2)
    config = f"""
name: t
output: .
sources: {{a: {{input: "{given.format(home)}"}}}}
stages:
  decoder: {{use: "stages.decoder:Decoder"}}
  video: {{use: "stages.video_writer:VideoWriter", reads: decoder}}
"""
    (home / "c.yaml").write_text(config)
    with pytest.raises(ConfigError, match="which would replace the input"):
        make_plan(load_config(home / "c.yaml"))


def test_a_source_is_named_after_the_file_of_its_url(home):
    film(home / "Über 1%.mp4", frames=2)
    assert source_name(f"file://{home}/%C3%9Cber%201%25.mp4") == "Über 1%"
