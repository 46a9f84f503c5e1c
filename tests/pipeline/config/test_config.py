"""The configuration: what is accepted, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import Config, Plan, load_config, make_plan, source_name
from pipeline.config.names import check_source_name
from pipeline.config.overrides import parse_override
from pipeline.config.schema import redis_place
from pipeline.stage import Demand
from tests.pipeline.config_bench import YAML, lay_out, plan, refusal, write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lay_out(tmp_path, monkeypatch)
    return tmp_path


def test_stages_stand_after_what_they_read_and_know_their_readers() -> None:
    made = plan()
    assert list(made.stages) == ["camera", "flow", "sink", "masks"]
    assert made.source_stage == "camera"
    assert made.stages["camera"].readers == ("flow",)
    assert made.stages["flow"].readers == ("sink", "masks")
    assert made.stages["flow"].needs == {"flow", "confidence"}
    assert made.stages["sink"].needs == frozenset()


@pytest.mark.parametrize(
    ("readers", "expected"),
    [
        (["Steadier"], Demand("coarse", ("r0",))),
        (["Steadier", "Masker", "Masker"], Demand("cells", ("r1", "r2"), ("coarse",))),
        (["Masker", "Sink", "Steadier"], Demand("full", ("r1",), ("coarse", "cells"))),
        ([], Demand("full", ())),
    ],
)
def test_the_strictest_reader_says_how_exact_the_flow_has_to_be(readers: list[str], expected: Demand) -> None:
    kept = "".join(line + "\n" for line in YAML.splitlines() if "sink:" not in line and "masks:" not in line)
    write(kept + "".join(f'  r{at}: {{use: "config_plugin:{cls}", reads: flow}}\n' for at, cls in enumerate(readers)))
    assert plan().stages["flow"].demand == expected


def test_options_are_checked_by_the_plug_in_and_completed_with_its_defaults() -> None:
    options = plan().stages["flow"].options
    assert options.model_dump() == {"iterations": 8, "threshold": "auto", "zones": ()}


def test_options_of_a_source_lie_over_those_of_the_source_stage() -> None:
    made = plan("sources.front.door.options.rate_hz=5")
    assert made.sources["front.door"].options.model_dump() == {"rate_hz": 5.0, "size": (320, 240)}


def test_a_source_of_another_class_starts_from_that_class_own_defaults() -> None:
    made = plan("sources.front.door.use=config_plugin:Screen")
    assert made.sources["front.door"].options.model_dump() == {"display": 0}


def test_a_plan_survives_its_way_as_text() -> None:
    made = plan("redis.url=redis://:secret@host/1", "sources.front.door.options={rate_hz: 5}")
    again = Plan.from_json(made.to_json())
    assert again == made
    assert again.sources["front.door"].options == made.sources["front.door"].options
    assert again.stages["flow"].cls is made.stages["flow"].cls


@pytest.mark.parametrize(
    ("policy", "source", "expected"),
    [
        ("auto", "clip.mp4", "lossless"),
        ("auto", "rtsp://host/a", "live"),
        ("live", "clip.mp4", "live"),
        ("lossless", "rtsp://host/a", "lossless"),
    ],
)
def test_the_policy_is_the_source_s_nature_unless_it_is_said(policy: str, source: str, expected: str) -> None:
    made = plan(f"policy={policy}", inputs=[source])
    assert [s.policy for s in made.sources.values()] == [expected]


def test_inputs_replace_the_sources_and_are_named_after_their_files() -> None:
    made = plan(inputs=["clips/Front door.mp4", "other/Front door.mov", "rtsp://u:p@host:554/live/cam1?x=1"])
    assert list(made.sources) == ["Front door", "Front door-2", "cam1"]
    assert made.sources["Front door"].info.input == "clips/Front door.mp4"


def test_names_that_differ_in_case_alone_are_told_apart_by_a_number() -> None:
    assert list(plan(inputs=["a/Clip.mp4", "b/clip.mp4"]).sources) == ["Clip", "clip-2"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("a/b.c.mp4", "b.c"),
        ("/dev/video0", "video0"),
        ("rtsp://user:pw@cam.local", "cam.local"),
        ("synthetic", "synthetic"),
        ("日本語.mp4", "日本語"),
        ("Αθήνα.mov", "Αθήνα"),
        ("U\u0308berfahrt.mp4", "\u00dcberfahrt"),
        ("Front door (2).mp4", "Front door (2)"),
        ("2024-01-01T10:20:30.mp4", "2024-01-01T10_20_30"),
        ('a<b>|"c"?*\\d\n.mp4', "a_b___c____d_"),
        ("bytes\udcff.mp4", "bytes_"),
        (".hidden.mp4", "_hidden"),
        ("._clip.mp4", "__clip"),
        (" .mp4", "source"),
        ("rtsp://${USER}:${PASSWORD}@host/Haust%C3%BCr%2Flinks", "Haustür_links"),
        ("x" * 300 + ".mp4", "x" * 100),
        ("語" * 300 + ".mp4", "語" * 50),
    ],
)
def test_a_source_s_name_keeps_its_letters_without_what_a_file_cannot_have(given: str, name: str) -> None:
    assert source_name(given) == name
    assert check_source_name(name) == name


@pytest.mark.parametrize("name", ["a/b", "a:b", "..", "tab\t", " a", "", "語" * 51])
def test_a_name_in_the_configuration_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name of 1 to 100 characters"):
        check_source_name(name)


def test_a_name_in_the_configuration_is_composed() -> None:
    assert check_source_name("U\u0308ber") == "\u00dcber"


def test_a_variable_s_syntax_in_the_name_of_a_file_is_no_variable(tmp_path: Path) -> None:
    for name in ("${NOTSET}.mp4", "$${NOTSET}.mp4"):
        file = tmp_path / name
        file.touch()
        (made,) = plan(inputs=[str(file)]).sources.values()
        assert made.info.input == str(file)


def test_the_command_line_lies_over_the_file() -> None:
    made = plan("limits.slots=8", output=Path("elsewhere"), redis_url="unix:///run/redis.sock")
    assert (made.limits.slots, made.output, made.redis_url) == (8, Path("elsewhere"), "unix:///run/redis.sock")


def test_overrides_are_yaml() -> None:
    made = plan("stages.flow.options.zones=[[1, 2], [3, 4]]", "stages.flow.options.threshold=2.5")
    assert made.stages["flow"].options.model_dump() == {
        "iterations": 8,
        "threshold": 2.5,
        "zones": ((1.0, 2.0), (3.0, 4.0)),
    }


@pytest.mark.parametrize("template", ["{source}.csv", "{source}/{stage}.csv", "{stage}-of-{source}.csv"])
def test_an_override_may_begin_with_a_placeholder(template: str) -> None:
    assert plan(f"stages.sink.options.path={template}").stages["sink"].options.model_dump() == {"path": template}


def test_variables_come_from_the_environment_and_are_escaped_in_the_user_part_of_a_url(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CAM_PASSWORD", "p@ss/w:rd")
    monkeypatch.setenv("NAME", "a@b")
    made = plan("stages.sink.options.path=${NAME}/$${NAME}/{source}", inputs=["rtsp://me:${CAM_PASSWORD}@host/a"])
    info = made.sources["a"].info
    assert info.input == "rtsp://me:p%40ss%2Fw%3Ard@host/a"
    assert info.display == "rtsp://me:***@host/a"
    assert made.stages["sink"].options.model_dump() == {"path": "a@b/${NAME}/{source}"}


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAM_PASSWORD", raising=False)
    assert "the environment variable CAM_PASSWORD is not set" in refusal(inputs=["rtsp://me:${CAM_PASSWORD}@host/a"])


def test_numbers_may_be_names() -> None:
    write(YAML.replace("front.door", "1"))
    assert list(plan().sources) == ["1"]


def test_without_sources_a_configuration_can_still_be_checked() -> None:
    assert make_plan(load_config("test.yaml", overrides=["sources={}"]), require_sources=False).sources == {}


def test_every_key_of_the_schema_is_described() -> None:
    schema = Config.model_json_schema()
    sections = [schema, *schema["$defs"].values()]
    bare = [
        f"{s['title']}.{k}" for s in sections for k, v in s.get("properties", {}).items() if not v.get("description")
    ]
    assert bare == []


def test_every_key_of_the_schema_stands_in_the_manual_with_its_default() -> None:
    manual = (Path(__file__).resolve().parents[3] / "docs" / "configuration.md").read_text()
    schema = Config.model_json_schema()
    prefixes = {"Config": "", "RedisSection": "redis.", "Limits": "limits.", "WebSection": "web."}
    prefixes |= {"SourceSection": "sources.NAME.", "StageSection": "stages.NAME."}
    for section in (schema, *schema["$defs"].values()):
        for key, node in section["properties"].items():
            if key in ("redis", "limits", "web", "sources", "stages"):
                continue
            default = node.get("default")
            shown = f" `{default}` " if isinstance(default, (str, int)) else " "
            assert f"| `{prefixes[section['title']]}{key}` |{shown}" in manual, key


def test_a_word_is_a_word_and_a_switch_may_still_be_written_as_one() -> None:
    masks = 'masks: {use: "config_plugin:Masker", reads: flow'
    write(YAML.replace(masks, f"{masks}, options: {{parallax: off, shadows: no}}").replace("front.door", "on"))
    made = plan()
    assert list(made.sources) == ["on"]
    assert made.stages["masks"].options.model_dump() == {"parallax": "off", "shadows": False}


def test_a_plug_in_s_file_lies_beside_the_configuration_or_where_the_command_line_is_given(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    Path("config_plugin.py").rename("inner/own.py")
    Path("inner/test.yaml").write_text(YAML.replace("config_plugin:", "./own.py:"))
    made = make_plan(load_config("inner/test.yaml"))
    assert made.stages["flow"].use == f"{tmp_path}/inner/own.py:Estimator"
    assert made.stages["flow"].cls.__name__ == "Estimator"
    given = load_config("inner/test.yaml", overrides=["stages.sink.use=inner/own.py:Sink"])
    assert make_plan(given).stages["sink"].use == f"{tmp_path}/inner/own.py:Sink"


@pytest.mark.parametrize("file", sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml")), ids=str)
def test_every_configuration_that_is_shipped_is_valid_and_says_its_units(file: Path) -> None:
    made = make_plan(load_config(file))
    assert made.name == file.stem
    assert len(made.sources) == 1
    for line in file.read_text().splitlines():
        key, _, value = line.strip().partition(":")
        if value.strip() and not key.startswith(("#", "use", "reads", '"', "path")):
            assert "#" in line, f"{file.name}: {line.strip()}: say what it is, and its unit"


@pytest.mark.parametrize(
    ("override", "parsed"),
    [
        ("stages.flow.options.iterations=8", ("stages.flow.options.iterations", 8)),
        ("a.b={c: [1, x=y]}", ("a.b", {"c": [1, "x=y"]})),
        ("path={source}.mp4", ("path", "{source}.mp4")),
        ("name=", ("name", None)),
        ("parallax=off", ("parallax", "off")),
        ("audio=true", ("audio", True)),
        ("a=[on, no, yes, y, Off]", ("a", ["on", "no", "yes", "y", "Off"])),
        ("a={off: 12:30, b: 2024-01-01}", ("a", {"off": "12:30", "b": "2024-01-01"})),
        ("a=[010, 0o10, 0x1f, -3, 1e-3, 1., .5, .inf]", ("a", [10, 8, 31, -3, 0.001, 1.0, 0.5, float("inf")])),
        ("a=[True, FALSE, ~, null]", ("a", [True, False, None, None])),
    ],
)
def test_an_override_is_a_key_path_and_a_value_in_yaml(override: str, parsed: tuple[str, object]) -> None:
    assert parse_override(override) == parsed


@pytest.mark.parametrize(
    "urls",
    [
        ("redis://cam.lan", "redis://CAM.lan:6379", "redis://me:word@cam.lan/0", "redis://cam.lan:6379/?db=0"),
        ("redis://cam.lan/2", "rediss://cam.lan:6379/2", "redis://cam.lan?db=2"),
        ("unix:///run/redis", "unix://me:word@/run/redis", "unix:///run/redis?db=0"),
        ("unix:///run/redis?db=1",),
        ("redis://other.lan",),
        ("redis://cam.lan:6380",),
    ],
)
def test_one_redis_is_one_place_however_its_url_is_written(urls: tuple[str, ...]) -> None:
    places = {redis_place(url) for url in urls}
    assert len(places) == 1
    assert "word" not in places.pop()
    assert redis_place(urls[0]) not in {redis_place("redis://another.lan"), redis_place("unix:///another")}
