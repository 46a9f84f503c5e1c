"""Settings from YAML: what is there runs, and what is wrong is named."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from raftline.training.options_file import RENAMED, OptionsError, load_options, read_values

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "train"
LEAST = "output: out\nsteps: 10\nheight: 128\nwidth: 136\nsynthetic: {clips: 1}\n"


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_is_valid(config: Path) -> None:
    assert load_options(config).steps >= 200


@pytest.mark.parametrize(
    ("name", "steps", "pairs", "rate", "size", "gamma"),
    [
        ("chairs", 100_000, 10, 4e-4, (368, 496), 0.8),
        ("things", 100_000, 6, 1.25e-4, (400, 720), 0.8),
        ("sintel", 100_000, 6, 1.25e-4, (368, 768), 0.85),
        ("kitti", 50_000, 6, 1e-4, (288, 960), 0.85),
    ],
)
def test_the_papers_stages_have_the_papers_figures(
    name: str, steps: int, pairs: int, rate: float, size: tuple[int, int], gamma: float
) -> None:
    options = load_options(CONFIGS / f"{name}.yaml")
    assert (options.steps, options.files.pairs, options.schedule.learning_rate) == (steps, pairs, rate)
    assert ((options.height, options.width), options.gamma) == (size, gamma)
    assert options.freeze_batch_norm == (name != "chairs")


def written(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(LEAST + more)
    return path


def test_a_second_file_replaces_single_values(tmp_path: Path) -> None:
    more = tmp_path / "more.yaml"
    more.write_text("steps: 20\nsynthetic: {textures: photos}\nschedule: {learning_rate: 1e-3}\n")
    options = load_options(written(tmp_path), more)
    assert (options.steps, options.synthetic.clips, options.synthetic.textures) == (20, 1, Path("photos"))
    assert options.schedule.learning_rate == 0.001


def test_values_are_those_of_yaml_1_2(tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("a: off\nb: 010\nc: 4e-4\nd: 12:30\ne:\nf: .inf\ng: true\nh: 2020-01-01\ni: '1'\n")
    read = {"a": "off", "b": 10, "c": 4e-4, "d": "12:30", "e": None, "f": math.inf, "g": True, "h": "2020-01-01"}
    assert read_values(path) == {**read, "i": "1"}


def test_a_path_may_begin_at_home(tmp_path: Path) -> None:
    options = load_options(written(tmp_path, "frames: {source: ~/frames.safetensors}\n"))
    assert options.frames.source == Path.home() / "frames.safetensors"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("itertions: 3\n", "itertions: unknown key; allowed here: output, steps, .*; did you mean 'iterations'"),
        ("schedule: {rate: 3}\n", "schedule.rate: unknown key; allowed here: learning_rate, shape, rise, by_layer"),
        ("synthetic: {scenes: {object: 1}}\n", "synthetic.scenes.object: unknown key; .*; did you mean 'objects'"),
        ("schedule: {shape: step}\n", "schedule.shape: found 'step'; allowed: 'one_cycle' or 'cosine'"),
        ("schedule: 3\n", "schedule: found 3; allowed: an object"),
        ("gamma: high\n", "gamma: found 'high'; allowed: a valid number"),
        ("seed: true\n", "seed: found True; allowed: a valid integer"),
        ("seed: '3'\n", "seed: found '3'; allowed: a valid integer"),
        ("ema: 1.5\n", "ema: found 1.5; allowed: less than 1"),
        ("width: 130\n", "width: found 130; allowed: a multiple of 8"),
        ("width: 120\n", "width: found 120; allowed: greater than or equal to 128"),
        ("warm_start: {share: 1.5}\n", "warm_start.share: found 1.5; allowed: less than or equal to 1"),
        ("upsampling: sharp\n", "upsampling: found 'sharp'; allowed: 'bilinear', 'convex' or 'guided'"),
        ("files: {sets: chairs}\n", "files.sets: found 'chairs'; allowed: a valid array"),
        ("files: {pairs: 2}\n", "files.sets: empty, but files.pairs asks for pairs"),
        ("frames: {clips: 1}\n", "frames.clips: needs frames.source, and distillation.teacher"),
        (
            "synthetic: {clips: 0}\n",
            "synthetic.clips, files.pairs and frames.clips: all 0",
        ),
        (
            "learn: upsampling\nframes: {clips: 1, source: x}\ndistillation: {teacher: y}\n",
            "learn: upsampling learns from exact flow only; set frames.clips to 0",
        ),
        ("synthetic: {clips: 1, scenes: {static: 2}}\n", "synthetic.scenes.static: expected a share"),
        ("synthetic: {clips: 1, degradations: {jpeg: 0.7}}\n", r"synthetic.degradations.jpeg \+ h264: .* is above 1"),
        ("files: {augmentation: {scale: [1.0, 0.0]}}\n", "files.augmentation.scale: expected the smaller first"),
        ("files: {augmentation: {scale: [1.0]}}\n", "files.augmentation.scale.1: missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(more: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=rf"config\.yaml: {words}"):
        load_options(written(tmp_path, more))


def test_every_mistake_has_its_line(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"config.yaml: seed: .*\n.*config.yaml: gamma: "):
        load_options(written(tmp_path, "gamma: high\nseed: low\n"))


def test_keys_of_older_files_are_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    old = "lead_in: 7\nsynthetic: {clips: 1, damage: {jpeg: 0.1}}\nwarm_start: {chosen: 0.25}\n"
    options = load_options(written(tmp_path, old))
    assert (options.burn_in, options.synthetic.degradations.jpeg, options.warm_start.adaptive) == (7, 0.1, 0.25)
    assert len(caplog.messages) == len(RENAMED)
    assert any(message.endswith("config.yaml: lead_in is called burn_in now") for message in caplog.messages)


def test_what_processes_are_told_is_what_was_read(tmp_path: Path) -> None:
    options = load_options(CONFIGS / "stream_cpu.yaml")
    (tmp_path / "options.json").write_text(options.model_dump_json())
    assert load_options(tmp_path / "options.json") == options


def test_changed_settings_are_checked_again(tmp_path: Path) -> None:
    options = load_options(written(tmp_path))
    assert options.with_changes(steps=3).steps == 3
    with pytest.raises(ValueError, match="steps"):
        options.with_changes(steps=0)


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=r"none.yaml: cannot be read: No such file"):
        load_options(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(OptionsError, match=r"bad.yaml: not YAML"):
        load_options(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(OptionsError, match=r"list.yaml: expected keys and values, found list"):
        load_options(tmp_path / "list.yaml")
    (tmp_path / "few.yaml").write_text("steps: 3")
    with pytest.raises(OptionsError, match=r"few.yaml: output: missing"):
        load_options(tmp_path / "few.yaml")
