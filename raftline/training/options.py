"""A training run's settings, as `configs/train/*.yaml` say them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from raftline.raft.model import Architecture
from raftline.raft.upsample import Upsampling
from raftline.synthetic.degradations import DegradationOptions
from raftline.synthetic.scene import SceneOptions

UserPath = Annotated[Path, AfterValidator(Path.expanduser)]
Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=128, multiple_of=8)]
"""A side of what the network sees, px. It works on cells of 8 px and looks up correlation in a pyramid of four levels,
whose smallest has a side of 2 cells at 128 px."""


class Options(BaseModel):
    """A group of settings. Unknown keys and values of another type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class SyntheticData(Options):
    """ClipBatch of three frames made on the fly."""

    clips: int = Field(default=0, ge=0)
    """ClipBatch per step and process; 0: none."""
    repeat: int | None = Field(default=None, ge=1)
    """Start over after this many clips, to check that a network can learn them; null: every clip is new."""
    textures: UserPath | None = None
    """A folder of photographs, or a file packed from one; null: procedural textures only."""
    tile_px: int = Field(default=256, ge=1)
    """Side of a texture tile."""
    scenes: SceneOptions = SceneOptions()
    degradations: DegradationOptions = DegradationOptions()


class AugmentationOptions(Options):
    """How pairs from disk are changed."""

    scale: tuple[float, float] = (-0.1, 1.0)
    """Range of the scale, as powers of two."""
    stretch: float = Field(default=0.2, ge=0)
    """Largest stretch of one side against the other, as a power of two. Dense ground truth only."""
    flips: bool = True
    """Mirror left to right, and sometimes top to bottom. Dense ground truth only: KITTI's road is always below."""
    color: bool = True
    """Change brightness, contrast, saturation and hue."""
    eraser: Share = 0.5
    """Share of the pairs in whose second image one or two rectangles are blanked."""

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> "AugmentationOptions":
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale: expected the smaller first, found {list(self.scale)}")
        return self


class FileData(Options):
    """Pairs of data sets on disk."""

    pairs: int = Field(default=0, ge=0)
    """Pairs per step and process; 0: none."""
    sets: tuple[str, ...] = ()
    """`name:folder`, or `name:folder*N` to draw its pairs N times as often. See `raftline.evaluation.datasets`."""
    augmentation: AugmentationOptions = AugmentationOptions()
    workers: int = Field(default=4, ge=1)
    """Threads that read ahead."""


class FrameData(Options):
    """Real frames, for which the teacher of `distillation` estimates the flow."""

    clips: int = Field(default=0, ge=0)
    """ClipBatch of three frames per step and process; 0: none."""
    source: UserPath | None = None
    """A file packed by `python -m raftline.training.frame_clips`."""


class ScheduleOptions(Options):
    """How the learning rate rises and falls."""

    learning_rate: float = Field(default=4e-4, gt=0)
    """The highest rate."""
    shape: Literal["one_cycle", "cosine"] = "one_cycle"
    """one_cycle: linear up, linear down to nothing (the paper). cosine: linear up, half a cosine down."""
    rise: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps until the highest rate."""
    by_layer: bool = False
    """Scale each layer's rate by the root mean square of its initial weights, so that wide and narrow layers move by
    the same share of themselves."""


class WarmStartOptions(Options):
    """The second pair of a clip starts from the network's own flow of the first, carried forward."""

    share: Share = 0.7
    """Share of the clips with a warm start; the others start from zero twice."""
    adaptive: Share = 0.5
    """Share of the warm starts that take the best of zero, the camera's motion and the carried flow, as sessions do
    with `warm_start: adaptive`; the others take the carried flow, wherever it is wrong."""
    iterations: int = Field(default=6, ge=1)
    """Iterations of the second pair."""
    repeats: int = Field(default=2, ge=0)
    """Re-estimate the first pair from its own flow 0 to this many times before carrying it: drift comes from there."""
    noise_px: float = Field(default=0.5, ge=0)
    """Largest standard deviation of the smooth noise added to the start; drawn for each clip."""


class DistillationOptions(Options):
    """Learn from another network as well."""

    teacher: str | None = None
    """Weights, as in every command; null: no teacher."""
    features: float = Field(default=1.0, ge=0)
    """Weight of the relative distance to the teacher's features and context. Needs the same architecture."""
    features_steps: int | None = Field(default=None, ge=1)
    """Let that weight fall to 0 over this many steps; null: constant."""
    blocks: bool = False
    """Learn only what each of the teacher's blocks makes of its input (`raftline.training.blocks`). A first stage from
    scratch, before learning flow."""
    iterations: int = Field(default=12, ge=1)
    """Iterations of the teacher where its flow stands in for unknown ground truth."""
    refined: bool = False
    """Refine that flow variationally (`raftline.flow.variational`) before it is learnt, and compare it with the
    network's own upsampling."""
    reads: Literal["own", "model"] = "own"
    """Whose features the teacher's iterations read. model: those of the trained network, once its encoders have learnt
    the teacher's and stay fixed (`learn: update_block`); the teacher then encodes nothing."""


class PrecisionOptions(Options):
    """Types of the arithmetic. Weights and correlation stay float32."""

    encoders: Literal["float32", "bfloat16"] = "float32"
    update: Literal["float32", "bfloat16"] = "float32"


class ValidationOptions(Options):
    """Synthetic clips with their own seed, measured with the averaged weights."""

    clips: int = Field(default=32, ge=1)
    seed: int = Field(default=1_000_003, ge=0)
    every_steps: int = Field(default=1000, ge=1)
    iterations: int = Field(default=12, ge=1)


class TrainOptions(Options):
    """A training run."""

    output: UserPath
    """Folder of checkpoint, weights and log."""
    steps: int = Field(ge=1)
    height: Side
    width: Side
    architecture: Architecture = "small"
    initial: str | None = None
    """Weights to start from, as in every command ("default", a name, a file); null: from scratch."""
    seed: int = Field(default=0, ge=0)
    processes: int = Field(default=1, ge=1)
    """Processes that average their gradients, each on its own clips."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of each process; null: torch's choice."""
    synthetic: SyntheticData = SyntheticData()
    files: FileData = FileData()
    frames: FrameData = FrameData()
    iterations: int = Field(default=12, ge=1)
    burn_in: int = Field(default=0, ge=0)
    """Iterate half of the pairs up to this many times before the iterations that are learnt from: a network drifts in
    iterations beyond those it learnt from."""
    upsampling: Upsampling | None = None
    """How flow reaches full resolution (`raftline.raft.model.Raft`); null: as in `initial`, or as in the paper."""
    learn: Literal["all", "update_block", "upsampling"] = "all"
    """update_block: the encoders stay fixed, which saves a third of the work. upsampling: the update block stays fixed
    too; learn a new upsampling this way before anything else."""
    gamma: float = Field(default=0.8, gt=0)
    """Weight of an iteration relative to the one after it."""
    schedule: ScheduleOptions = ScheduleOptions()
    weight_decay: float = Field(default=1e-4, ge=0)
    epsilon: float = Field(default=1e-8, gt=0)
    """AdamW's epsilon."""
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of the gradient."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """The shipped weights are a moving average: this share of it stays at each step."""
    freeze_batch_norm: bool = False
    """Keep RAFT-large's running statistics fixed: every stage of the paper but the first."""
    warm_start: WarmStartOptions = WarmStartOptions()
    distillation: DistillationOptions = DistillationOptions()
    precision: PrecisionOptions = PrecisionOptions()
    validation: ValidationOptions = ValidationOptions()
    save_every_steps: int = Field(default=500, ge=1)
    log_every_steps: int = Field(default=20, ge=1)

    @model_validator(mode="after")
    def _there_is_data(self) -> "TrainOptions":
        if self.synthetic.clips + self.files.pairs + self.frames.clips < 1:
            raise ValueError("synthetic.clips, files.pairs and frames.clips: all 0, there is nothing to train on")
        if self.frames.clips > 0 and (self.frames.source is None or self.distillation.teacher is None):
            raise ValueError("frames.clips: needs frames.source, and distillation.teacher for their flow")
        if self.files.pairs > 0 and not self.files.sets:
            raise ValueError("files.sets: empty, but files.pairs asks for pairs; expected entries such as chairs:DIR")
        return self

    @model_validator(mode="after")
    def _learning_fits_its_sources(self) -> "TrainOptions":
        reads, wanted = self.distillation.reads, self.distillation.features
        if reads == "model" and (wanted > 0 or self.learn == "all"):
            raise ValueError(
                "distillation.reads: model needs fixed encoders: learn: update_block, and distillation.features: 0; "
                f"found learn: {self.learn}, distillation.features: {wanted}"
            )
        if self.learn == "upsampling" and self.frames.clips > 0:
            raise ValueError("learn: upsampling learns from exact flow only; set frames.clips to 0")
        return self

    def with_changes(self, **changes: Any) -> "TrainOptions":
        """A copy with some settings changed, checked again."""
        return TrainOptions(**{name: getattr(self, name) for name in TrainOptions.model_fields} | changes)
