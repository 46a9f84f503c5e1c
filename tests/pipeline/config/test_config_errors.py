"""The words in which a configuration is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from pipeline.config import load_config
from pipeline.config.explain import explain
from pipeline.errors import ConfigError, PluginError
from tests.pipeline.config_bench import PLUGIN, YAML, lay_out, plan, refusal, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_out(tmp_path, monkeypatch)
    return tmp_path


MISTAKES = [
    ("stages.flow.options.iteratons=3", "stages.flow.options.iteratons: unknown key; allowed here: iterations, "),
    ("stages.flow.options.iteratons=3", "did you mean 'iterations'?"),
    (
        "limits.slot=3",
        "unknown key; allowed here: slots, shared_memory_mb, entries, max_latency_ms, restarts, stop_seconds; ",
    ),
    ("limits.slot=3", "did you mean 'slots'?"),
    ("polcy=live", "polcy: unknown key"),
    ("stages.flow.optons={}", "did you mean 'options'?"),
    ("limits.slots=many", "limits.slots: found 'many'; allowed: a whole number, at least 4"),
    ("limits.slots=2.5", "found 2.5; allowed: a whole number"),
    ("limits.slots=0", "found 0; allowed: a whole number, at least 4, at most 4096 (frames kept"),
    ("policy=lve", "policy: found 'lve'; allowed: one of auto, lossless, live"),
    ("stages.flow.options.iterations=0", "found 0; allowed: a whole number, at least 1, at most 64 (updates of"),
    ("stages.flow.options.threshold=fast", "found 'fast'; allowed: a number or auto (px/s)"),
    ("stages.flow.options.zones=[[1, x]]", "stages.flow.options.zones.0.1: found 'x'; allowed: a number"),
    ("stages.camera.options.size=[1, 2, 3]", "stages.camera.options.size: found a list; allowed: a list of 2"),
    ("stages.camera.options.rate_hz=-1", "found -1; allowed: a number, more than 0 (frames per second)"),
    ("stages.flow.reads=null", "this key is missing; name the stage to read (stages that write Frame: camera)"),
    ("stages.flow.reads=camra", "there is no stage 'camra'; did you mean 'camera'?"),
    ("stages.flow.reads=masks", "masks writes Mask, flow takes Frame"),
    ("stages.sink.reads=camera", "sink takes Flow or Mask (stages that write Flow or Mask: masks, flow)"),
    ("stages.masks.reads=sink", "sink writes nothing"),
    ("stages.camera.reads=flow", "config_plugin:Camera is a Source and reads nothing"),
    ("stages.camera={use: 'config_plugin:Estimator', reads: flow}", "none of them is a Source"),
    ("stages.sink={use: 'config_plugin:Screen'}", "sink and camera are both Sources, but a pipeline has exactly one"),
    ("stages.a b={use: x}", "allowed: a name of 1 to 100 characters from"),
    ("sources={}", "sources: there are none; add one with -i INPUT"),
    ("sources.front.door.use=config_plugin:Sink", "expected a Source"),
    ("sources={..: {input: a}}", "and not of dots alone"),
    ("sources={a: {input: ''}}", "sources.a.input: found ''; allowed: text, at least 1 long"),
    ("sources={a: {}}", "sources.a.input: this key is missing; expected text"),
    ("redis.url=http://host", "redis.url: found 'http://host'; allowed: redis://"),
    ("redis.url='redis://'", "the host is missing"),
    ("redis.url='redis://host:99999'", "a port from 1 to 65535"),
    ("stages={}", "stages: found a mapping; allowed: a mapping"),
    ("stages.flw.reads=camera", "there is no stage 'flw'; the stages: sink, masks, flow, camera"),
    ("name.x=1", "--set name.x: name is 'test', which has no keys"),
    ("name", "expected KEY.PATH=VALUE"),
    ("=1", "expected KEY.PATH=VALUE"),
    ("name=[1", "--set name, line 1, column"),
]  # fmt: skip


@pytest.mark.parametrize(("override", "words"), MISTAKES)
def test_a_mistake_is_refused_with_its_key_what_was_found_and_what_is_allowed(override: str, words: str) -> None:
    assert words in refusal(override)


def test_a_name_that_is_not_utf_8_is_said_to_be_so() -> None:
    with pytest.raises(ConfigError, match=r"found 'a\\udcff.mp4'; allowed: text in UTF-8; rename the file or folder"):
        load_config("test.yaml", inputs=["a\udcff.mp4"])


class Zones(BaseModel):
    """Options with checks of their own."""

    zones: list[list[tuple[float, float]]] = Field([], description="polygons of [x, y]")
    url: str = "http://"

    @field_validator("url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not url.startswith("http://"):
            raise ValueError(f"must begin with http://, found {url!r}")
        return url

    @model_validator(mode="after")
    def _have_corners(self) -> Zones:
        if any(len(zone) < 3 for zone in self.zones):
            raise ValueError("a zone needs at least 3 corners")
        return self


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"url": "x"}, "options.url: must begin with http://, found 'x'"),
        ({"zones": [[[0, 0]]]}, "options: a zone needs at least 3 corners"),
        (
            {"zones": [[0, 1]]},
            "options.zones.0.0: found 0; allowed: a list of 2: a number, a number (polygons of [x, y])",
        ),
    ],
)
def test_a_check_of_its_own_says_it_once_and_a_part_of_a_list_what_the_list_is_for(given: object, words: str) -> None:
    with pytest.raises(ValidationError) as error:
        Zones.model_validate(given)
    assert explain(error.value, Zones, ("options",), lambda _: "a.yaml").splitlines()[0] == f"a.yaml: {words}"


def test_an_error_names_the_file_it_stands_in() -> None:
    write(YAML.replace("iterations: 8", "iteratons: 8"))
    assert refusal().startswith("test.yaml: stages.flow.options.iteratons: unknown key")


def test_an_error_in_an_argument_names_the_argument() -> None:
    assert refusal("policy=lve").startswith("--set: policy: ")
    assert refusal(redis_url="ftp://host").startswith("--redis: redis.url: ")


def test_every_mistake_of_a_file_is_said_at_once() -> None:
    assert len(refusal("limits.slots=0", "polcy=1", "payload=disk").splitlines()) == 3


def test_stages_that_read_each_other_in_a_cycle_are_refused_with_the_cycle() -> None:
    write(
        YAML
        + '  again: {use: "config_plugin:Looper", reads: twin}\n  twin: {use: "config_plugin:Looper", reads: again}\n'
    )
    loop = "class Looper(Estimator):\n    reads = (Flow,)\n"
    Path("config_plugin.py").write_text(f"{PLUGIN}\n\n{loop}")
    assert "the stages read each other in a cycle: again -> twin -> again" in refusal()


def test_a_stage_that_reads_itself_is_a_cycle() -> None:
    assert "cycle: flow -> flow" in refusal("stages.flow.reads=flow")


def test_two_stages_must_not_write_one_file() -> None:
    write(YAML + '  more: {use: "config_plugin:Sink", reads: masks}\n')
    assert "found '{source}.bin', which stage sink already writes" in refusal()


def test_two_sources_must_not_write_one_file() -> None:
    assert "it must contain {source}" in refusal("stages.sink.options.path=all.bin", inputs=["a.mp4", "b.mp4"])
    assert plan("stages.sink.options.path=all.bin", inputs=["a.mp4"])


def test_an_output_must_not_replace_its_input() -> None:
    said = refusal("stages.sink.options.path={source}.mp4", "output=clips/../in", inputs=["in/a.mp4"])
    assert "which would replace the input in/a.mp4" in said


def test_passwords_are_not_repeated_in_errors() -> None:
    said = refusal(redis_url="http://user:hunter2@host") + refusal(
        "sources={a: {input: 'rtsp://u:hunter2@h/', uze: 1}}"
    )
    assert "hunter2" not in said


def test_a_key_that_stands_twice_is_refused() -> None:
    write(YAML + "name: again\n")
    assert "test.yaml, line 10, column 1: duplicate key 'name'" in refusal()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "found nothing (null); a configuration is a mapping"),
        ("- a\n- b\n", "found a list"),
        ("a: [1\n", "not valid YAML"),
        ("a: {b: 'x}\n", "not valid YAML"),
        ("\tname: x\n", "not valid YAML"),
        ("name: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
        ("true: x\n", "a key must be text, found true"),
        ("a: !!int x\n", "not valid YAML: a value does not fit the tag before it"),
        ("name: a\x00b\n", "not a text file"),
    ],
)
def test_what_is_no_configuration_is_refused_with_its_place(text: str, words: str) -> None:
    write(text)
    assert words in refusal()


def test_a_file_that_is_not_there_is_named_with_the_nearest_that_is() -> None:
    with pytest.raises(ConfigError, match=r"tets\.yaml: no such configuration file; did you mean 'test\.yaml'"):
        load_config("tets.yaml")


def test_a_file_of_other_bytes_is_refused(folder: Path) -> None:
    Path("test.yaml").write_bytes(b"\xff\xfe\x00\x81")
    assert "it is not UTF-8 text" in refusal()
    with pytest.raises(ConfigError, match="cannot read the configuration"):
        load_config(folder)


def test_a_plug_in_that_cannot_be_imported_is_named_with_its_key() -> None:
    with pytest.raises(PluginError, match=r"test\.yaml: stages\.flow\.use: cannot import 'no_such:Thing'"):
        plan("stages.flow.use=no_such:Thing")
