"""Settings from YAML: what is there runs, and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from raftline.training.options import OptionsError, load_options
from raftline.training.train import parse_override

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


def test_values_are_laid_over_the_files(tmp_path: Path) -> None:
    options = load_options(
        written(tmp_path), {"steps": 20, "synthetic.textures": "photos", "schedule.learning_rate": "1e-3"}
    )
    assert (options.steps, options.synthetic.clips, options.synthetic.textures) == (20, 1, Path("photos"))
    assert options.schedule.learning_rate == 0.001


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("itertions: 3\n", "itertions: no such key; did you mean 'iterations'"),
        ("schedule: {rate: 3}\n", "schedule.rate: no such key.*Allowed are learning_rate, shape, rise"),
        ("schedule: {shape: step}\n", "schedule.shape: expected one_cycle or cosine, found 'step'"),
        ("schedule: 3\n", "schedule: expected keys and values, found 3"),
        ("gamma: high\n", "gamma: expected float, found 'high'"),
        ("seed: true\n", "seed: expected int, found True"),
        ("files: {sets: chairs}\n", "files.sets: expected a list, found 'chairs'"),
        ("files: {pairs: 2}\n", "files.sets: empty, but files.pairs asks for pairs"),
        ("frames: {clips: 1}\n", "frames.clips: needs frames.source, and distillation.teacher"),
        ("upsampling: sharp\n", "upsampling: expected bilinear or convex or guided, found 'sharp'"),
        (
            "learn: upsampling\nframes: {clips: 1, source: x}\ndistillation: {teacher: y}\n",
            "learn: upsampling learns from exact flow alone; set frames.clips to 0",
        ),
        ("ema: 1.5\n", "ema: expected 0 to below 1, found 1.5"),
        ("warm_start: {share: 1.5}\n", "warm_start.share: expected a share, 0 to 1; found 1.5"),
        ("synthetic: {clips: 1, scenes: {static: 2}}\n", "synthetic.scenes.static: expected a share"),
        ("synthetic: {clips: 1, damage: {jpeg: 0.7}}\n", r"synthetic.damage.jpeg \+ h264: .* is above 1"),
        ("files: {augmentation: {scale: [1.0, 0.0]}}\n", "files.augmentation.scale: expected the smaller first"),
        ("files: {augmentation: {scale: [1.0]}}\n", "files.augmentation.scale: expected a list of 2"),
    ],
)
def test_what_is_wrong_is_named_with_its_key(more: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match=words):
        load_options(written(tmp_path, more))


def test_sizes_the_network_cannot_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="width: expected a multiple of 8, at least 128 px; found 130"):
        load_options(written(tmp_path), {"width": 130})


def test_nothing_to_train_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionsError, match="all 0, there is nothing to train on"):
        load_options(written(tmp_path), {"synthetic.clips": 0})


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


def test_an_override_is_a_key_and_a_value_in_yaml() -> None:
    assert parse_override("synthetic={clips: 2}") == ("synthetic", {"clips": 2})
    for text in ("gamma", "=3"):
        with pytest.raises(ValueError, match=r"expected KEY\.PATH=VALUE"):
            parse_override(text)
