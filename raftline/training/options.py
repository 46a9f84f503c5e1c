"""A training run's settings: dataclasses filled from YAML, every key checked."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from raftline.raft.upsample import Upsampling
from raftline.synthetic.degradations import DamageOptions
from raftline.synthetic.scene import SceneOptions
from raftline.training.augmentation import AugmentationOptions
from raftline.training.schedule import ScheduleOptions

T = TypeVar("T")


class OptionsError(ValueError):
    """A setting that cannot be; the message gives file, key, what was found and what is allowed."""


@dataclass(frozen=True)
class SyntheticData:
    """Clips of three frames made on the fly."""

    clips: int = 0
    """Per step and process; 0: none."""
    repeat: int | None = None
    """Begin again after so many clips, to see whether a network can learn them; None: every clip is new."""
    textures: Path | None = None
    """A folder of photographs, or a file packed from one. None: textures made by formula alone."""
    tile_px: int = 256
    scenes: SceneOptions = field(default_factory=SceneOptions)
    damage: DamageOptions = field(default_factory=DamageOptions)


@dataclass(frozen=True)
class FileData:
    """Pairs of data sets on disk."""

    pairs: int = 0
    """Per step and process; 0: none."""
    sets: tuple[str, ...] = ()
    """`name:folder`, or `name:folder*N` to draw its pairs N times as often. See `raftline.evaluation.datasets`."""
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    workers: int = 4
    """Threads that read ahead."""


@dataclass(frozen=True)
class FrameData:
    """Real frames, whose flow the teacher of `distillation` says."""

    clips: int = 0
    """Of three frames, per step and process; 0: none."""
    source: Path | None = None
    """A file packed by `python -m raftline.training.frame_clips`."""


@dataclass(frozen=True)
class WarmStartOptions:
    """The second pair of a clip starts from the network's own flow of the first, carried forward."""

    share: float = 0.7
    """Of the clips; the others start from zero twice."""
    chosen: float = 0.5
    """Of these, how many start from the best of zero, the camera's motion and the carried flow, as sessions do with
    `warm_start: adaptive`; the others from the carried flow, wherever it is wrong."""
    iterations: int = 6
    """Updates of the second pair."""
    repeats: int = 2
    """The first pair's flow is refined from itself 0 to so many times before it is carried: drift comes from there."""
    noise_px: float = 0.5
    """Largest standard deviation of what is added to the start; smooth, drawn for each clip."""

    def __post_init__(self) -> None:
        for name in ("share", "chosen"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a share, 0 to 1; found {getattr(self, name)}")
        if self.iterations < 1 or self.repeats < 0 or self.noise_px < 0:
            raise ValueError("iterations, repeats and noise_px: expected at least 1, 0 and 0")


@dataclass(frozen=True)
class DistillationOptions:
    """Learn from another network, too."""

    teacher: str | None = None
    """Weights, as for every command. None: no teacher."""
    features: float = 1.0
    """Weight of the distance to the teacher's features and context, relative to their size. Needs one architecture."""
    features_steps: int | None = None
    """That weight falls to 0 over the first so many steps; None: it stays."""
    blocks: bool = False
    """Learn nothing but what each of the teacher's blocks makes of its input; see `raftline.training.blocks`. For a
    beginning from scratch; then learn flow."""
    iterations: int = 12
    """Of the teacher, where its flow stands in for a truth that is not known."""
    refined: bool = False
    """That flow is brought nearer to the pictures before it is learnt (`raftline.flow.variational`), and the network's
    own upsampling compared with it."""
    reads: Literal["own", "model"] = "own"
    """Whose features the teacher's iterations read. model: those of the network that is trained, once its encoders
    have learnt the teacher's and stay as they are (`learn: update_block`); it encodes nothing then."""


@dataclass(frozen=True)
class PrecisionOptions:
    """Types of the arithmetic; the weights stay float32, and so does the correlation."""

    encoders: Literal["float32", "bfloat16"] = "float32"
    update: Literal["float32", "bfloat16"] = "float32"


@dataclass(frozen=True)
class ValidationOptions:
    """Synthetic clips with a seed of their own, measured with the averaged weights."""

    clips: int = 32
    seed: int = 1_000_003
    every_steps: int = 1000
    iterations: int = 12


@dataclass(frozen=True)
class TrainOptions:
    """A training run."""

    output: Path
    """Folder of checkpoint, weights and log."""
    steps: int
    height: int
    width: int
    """Size of what the network sees, px: multiples of 8, at least 128."""
    architecture: Literal["small", "large"] = "small"
    initial: str | None = None
    """Weights to begin from, as for every command ("default", a name, a file). None: from scratch."""
    seed: int = 0
    processes: int = 1
    """More than one average their gradients, each on its own clips. On the CPU."""
    threads: int | None = None
    """Of each process, on the CPU; None leaves torch's choice."""
    synthetic: SyntheticData = field(default_factory=SyntheticData)
    files: FileData = field(default_factory=FileData)
    frames: FrameData = field(default_factory=FrameData)
    iterations: int = 12
    lead_in: int = 0
    """Half of the pairs are iterated up to so many times before the iterations that are learnt from: what a network
    does beyond the iterations that it learnt from drifts."""
    upsampling: Upsampling | None = None
    """How flow comes to full resolution; see `raftline.raft.model.Raft`. None: as in `initial`, or as in the paper."""
    learn: Literal["all", "update_block", "upsampling"] = "all"
    """update_block: the encoders stay as they are, which is a third of the work less. upsampling: the update block,
    too; where the network's upsampling is not `initial`'s, it needs to be learnt before anything else is."""
    gamma: float = 0.8
    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    weight_decay: float = 1e-4
    epsilon: float = 1e-8
    clip: float = 1.0
    """Longest gradient."""
    ema: float = 0.999
    """The weights that are kept are a moving average: this share of it stays at each step."""
    freeze_batch_norm: bool = False
    """RAFT-large's running statistics stay as they are: every stage of the paper but the first."""
    warm_start: WarmStartOptions = field(default_factory=WarmStartOptions)
    distillation: DistillationOptions = field(default_factory=DistillationOptions)
    precision: PrecisionOptions = field(default_factory=PrecisionOptions)
    validation: ValidationOptions = field(default_factory=ValidationOptions)
    save_every_steps: int = 500
    log_every_steps: int = 20

    def __post_init__(self) -> None:
        for name in ("steps", "processes", "iterations", "save_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, found {getattr(self, name)}")
        if self.lead_in < 0:
            raise ValueError(f"lead_in: expected 0 or more iterations, found {self.lead_in}")
        for name in ("height", "width"):
            if getattr(self, name) < 128 or getattr(self, name) % 8:
                raise ValueError(f"{name}: expected a multiple of 8, at least 128 px; found {getattr(self, name)}")
        if self.synthetic.clips + self.files.pairs + self.frames.clips < 1:
            raise ValueError("synthetic.clips, files.pairs and frames.clips: all 0, there is nothing to train on")
        if self.frames.clips > 0 and (self.frames.source is None or self.distillation.teacher is None):
            raise ValueError("frames.clips: needs frames.source, and distillation.teacher to say their flow")
        reads, wanted = self.distillation.reads, self.distillation.features
        if reads == "model" and (wanted > 0 or self.learn == "all"):
            raise ValueError(
                "distillation.reads: model needs encoders that stay as they are: learn: update_block, and "
                f"distillation.features: 0; found learn: {self.learn}, distillation.features: {wanted}"
            )
        if self.files.pairs > 0 and not self.files.sets:
            raise ValueError("files.sets: empty, but files.pairs asks for pairs; expected entries such as chairs:DIR")
        if self.learn == "upsampling" and self.frames.clips > 0:
            raise ValueError("learn: upsampling learns from exact flow alone; set frames.clips to 0")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: expected 0 to below 1, found {self.ema}")


def load_options(path: Path, overrides: Mapping[str, object] | None = None) -> TrainOptions:
    """Read a YAML file.

    Args:
        overrides: dotted key -> value laid over the file's.

    Raises:
        OptionsError: not there, not YAML, an unknown key, a value of another kind or out of its range.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    except yaml.YAMLError as error:
        raise OptionsError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise OptionsError(f"{path}: expected keys and values, found {type(values).__name__}")
    for key, value in (overrides or {}).items():
        _lay_over(values, key.split("."), value)
    return _filled(TrainOptions, values, str(path), "")


def _lay_over(values: dict[str, Any], keys: list[str], value: object) -> None:
    for key in keys[:-1]:
        inner = values.get(key)
        values[key] = values = dict(inner) if isinstance(inner, dict) else {}
    values[keys[-1]] = value


def _filled(kind: type[T], values: Mapping[str, object], file: str, prefix: str) -> T:
    hints = typing.get_type_hints(kind)
    for key in values:
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise OptionsError(f"{file}: {prefix}{key}: no such key; {meant}Allowed are {', '.join(hints)}")
    missing = [f.name for f in dataclasses.fields(kind) if _required(f) and f.name not in values]  # type: ignore[arg-type]
    if missing:
        raise OptionsError(f"{file}: {prefix}{missing[0]}: missing, and it has no default")
    converted = {key: _converted(hints[key], value, file, f"{prefix}{key}") for key, value in values.items()}
    try:
        return kind(**converted)
    except ValueError as error:
        raise OptionsError(f"{file}: {prefix}{error}") from error


def _required(entry: Any) -> bool:
    return entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING


def _converted(hint: Any, value: object, file: str, key: str) -> object:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise OptionsError(f"{file}: {key}: expected keys and values, found {value!r}")
        return _filled(hint, value, file, f"{key}.")  # type: ignore[arg-type]
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return None if value is None else _converted(arguments[0], value, file, key)
    if typing.get_origin(hint) is Literal:
        if value not in arguments:
            raise OptionsError(f"{file}: {key}: expected {' or '.join(map(str, arguments))}, found {value!r}")
        return value
    if typing.get_origin(hint) is tuple:
        return _as_tuple(arguments, value, file, key)
    return _plain(hint, value, file, key)


def _as_tuple(arguments: tuple[Any, ...], value: object, file: str, key: str) -> tuple[object, ...]:
    variable = len(arguments) == 2 and arguments[1] is ...
    if not isinstance(value, list) or not (variable or len(value) == len(arguments)):
        wanted = "a list" if variable else f"a list of {len(arguments)}"
        raise OptionsError(f"{file}: {key}: expected {wanted}, found {value!r}")
    return tuple(_converted(arguments[0], item, file, f"{key}[{number}]") for number, item in enumerate(value))


def _plain(hint: type, value: object, file: str, key: str) -> object:
    if hint is Path and isinstance(value, str):
        return Path(value).expanduser()
    if hint is float and isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            return float(value)  # YAML 1.1 reads 4e-4, without a point, as a word
        except ValueError:
            pass
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise OptionsError(f"{file}: {key}: expected {hint.__name__}, found {value!r}")
