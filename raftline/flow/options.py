"""What can be set for optical flow. Each option's name, default, range and description are written here, once.

`FlowSession`, the estimators, the evaluation, the flow stage and the command line all read `FlowOptions`.
"""

import dataclasses
import functools
import logging
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

from raftline.raft.choices import CorrelationChoice, PrecisionChoice, RuntimeChoice

Estimator = Literal["raft", "dis"]
WarmStart = Literal["never", "adaptive", "always"]
GridRefinement = Literal["full", "half"]
NetworkSize = Literal["full", "adaptive"]
DisPreset = Literal["ultrafast", "fast", "medium", "adaptive"]

DEFAULT_ITERATIONS = 10
"""Chosen by the end-point error (`python -m benchmarks.bench_early_stop`): 12 gain at most 1.4 % over 10 on
Middlebury, Sintel, FlyingChairs and synthetic clips, and 2 % on KITTI; 8 cost 5 % on the synthetic ones."""


def described(
    description: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    none: str = "",
    renamed: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of a dataclass field that is an option.

    Args:
        description: for `raftline stages flow` and `--help`; names the unit.
        ge, le: least and greatest value allowed.
        none: what None means, where it is allowed.
        renamed: values of earlier versions that are still read, and what they are called now.
    """
    bounds = {name: bound for name, bound in (("ge", ge), ("le", le)) if bound is not None}
    return {"description": description, "bounds": bounds, "none": none, "renamed": renamed or {}}


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """How optical flow is estimated.

    Raises:
        ValueError: a value out of its range; the message names the option, what was found and what is allowed.
    """

    estimator: Estimator = field(
        default="raft",
        metadata=described("RAFT (raft), or OpenCV's Dense Inverse Search (dis), for many cameras on few CPU cores"),
    )
    weights: str = field(
        default="default",
        metadata=described(
            "RAFT only: default (shipped), a published name such as torchvision/raft_large (downloaded once), or the "
            "path of a .safetensors or .pth file"
        ),
    )
    iterations: int = field(
        default=DEFAULT_ITERATIONS, metadata=described("RAFT only: updates per frame, at most", ge=1, le=1000)
    )
    cold_iterations: int = field(
        default=12,
        metadata=described(
            "RAFT only: updates for a cold start, if larger than iterations: the first pair of a stream, and the first "
            "after a gap or a scene cut. Not used with warm_start never",
            ge=1,
            le=1000,
        ),
    )
    warm_start: WarmStart = field(
        default="adaptive",
        metadata=described(
            "RAFT only: where the updates start. never: zero flow; always: the last flow, carried forward; adaptive: "
            "for each cell zero, the camera's motion or the last flow, whichever matches the two frames best",
            renamed={"chosen": "adaptive"},
        ),
    )
    region_matching: bool = field(
        default=True,
        metadata=described(
            "RAFT only: after the first update, search up to 64 px away for regions that the flow has lost, such as "
            "small fast objects"
        ),
    )
    variational_refinement: bool = field(
        default=True,
        metadata=described(
            "RAFT only: refine the upsampled flow on the pixels of both frames. The 8 px grid is then the mean of that "
            "flow over each cell"
        ),
    )
    grid_refinement: GridRefinement = field(
        default="full",
        metadata=described(
            "RAFT only: size of the frames on which the 8 px grid is refined where flow at every pixel is not wanted; "
            "half takes a quarter of the time"
        ),
    )
    early_stop_px: float | None = field(
        default=None,
        metadata=described(
            "RAFT only: stop when the mean update is shorter than this, px, and in every region of 32 px than five "
            "times this",
            ge=0,
            none="run all updates",
        ),
    )
    one_motion_side_px: int | None = field(
        default=None,
        metadata=described(
            "RAFT only: longer side, px, to which larger frames are scaled down while one shift, turn and zoom explain "
            "their motion; where parts of a frame move on their own, its flow is estimated again at full size",
            ge=64,
            none="always full size",
        ),
    )
    register_one_motion: bool = field(
        default=False,
        metadata=described(
            "RAFT only, on a CPU: where one shift, turn, zoom and shear explain a frame's motion on its pixels, to "
            "1/640 of the longer side in 80 % of its textured parts, and in 95 % once parts have moved by what they "
            "differ, take that without running the network. Not where flow at every pixel or confidence is wanted"
        ),
    )
    network_size: NetworkSize = field(
        default="full",
        metadata=described(
            "RAFT only: size of the frames for the network. adaptive: half size while that explains their motion, else "
            "full size; flow is refined at full size either way. Not used with one_motion_side_px, nor without "
            "variational_refinement"
        ),
    )
    only_changed: bool = field(
        default=False,
        metadata=described(
            "RAFT only, on a CPU: estimate flow only around what changes by more than noise, if that is a part of the "
            "frame; elsewhere it is zero. Not where flow at every pixel is wanted, nor with still_seconds null"
        ),
    )
    changed_iterations: int | None = field(
        default=None,
        metadata=described(
            "RAFT only: updates where flow is estimated around what changes (only_changed) and goes on from the last "
            "frame's, if fewer than iterations",
            ge=1,
            le=1000,
            none="iterations",
        ),
    )
    correlation: CorrelationChoice = field(
        default="auto",
        metadata=described(
            "RAFT only: how correlation is held. all-pairs: fast on a GPU, memory grows with the square of the pixels; "
            "on-demand: memory grows with the pixels; auto: on-demand on a CPU, and on a GPU where all-pairs would "
            "take more than half of the free memory"
        ),
    )
    dis_preset: DisPreset = field(
        default="medium",
        metadata=described(
            "DIS only: OpenCV's preset, from fastest to most accurate; adaptive: fast, and at twice the size for "
            "frames of which a part moves on its own"
        ),
    )
    duplicates: float | None = field(
        default=0.5,
        metadata=described(
            "largest mean difference of any 16x16 px block, grey levels, up to which a frame counts as the last one "
            "again and has zero flow",
            ge=0,
            none="never",
        ),
    )
    scene_cut: float | None = field(
        default=0.4,
        metadata=described(
            "share of a frame, not found in the last frame, above which it is a scene cut and has no flow",
            ge=0,
            le=1,
            none="never",
        ),
    )
    device: str = field(
        default="auto", metadata=described("RAFT only: auto (CUDA if available, else CPU), cpu, cuda or cuda:N")
    )
    runtime: RuntimeChoice = field(
        default="auto",
        metadata=described(
            "RAFT only: what runs the convolutions: torch, or openvino, on a CPU and if installed (pip install "
            "'raftline[openvino]'); auto: openvino where it can run on an x86 CPU, else torch"
        ),
    )
    precision: PrecisionChoice = field(
        default="auto",
        metadata=described(
            "RAFT only: arithmetic. auto: int8 in openvino; in torch 16 bits where the device multiplies them faster, "
            "else float32. Either moves the end-point error by about 0.01 px at most"
        ),
    )
    threads: int | None = field(
        default=None, metadata=described("CPU threads per operation", ge=1, none="the library's choice")
    )

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value = current_value(each, getattr(self, each.name))
            _check(each, value)
            object.__setattr__(self, each.name, value)


def current_value(of: "dataclasses.Field[Any]", value: Any) -> Any:
    """The value under its name of today. Warns, once per process, about an earlier name."""
    renamed = of.metadata["renamed"]
    if not isinstance(value, str) or value not in renamed:
        return value
    warn_once(f"{of.name}: {value!r} is called {renamed[value]!r} now; the earlier name will be removed")
    return renamed[value]


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning, the first time that it is given."""
    logging.getLogger(__name__).warning(message)


def _check(of: "dataclasses.Field[Any]", value: Any) -> None:
    """Raises ValueError unless the value is of the field's type and within its bounds."""
    choices = get_args(of.type) if get_origin(of.type) is Literal else ()
    if choices:
        allowed, fits = f"{', '.join(choices[:-1])} or {choices[-1]}", isinstance(value, str) and value in choices
    else:
        types: tuple[Any, ...] = get_args(of.type) or (of.type,)
        allowed = " or ".join("None" if each is type(None) else each.__name__ for each in types) + _range(of)
        fits = isinstance(value, (*types, int) if float in types else types)
        fits = fits and isinstance(value, bool) == (bool in types) and (value is None or _is_within(of, value))
    if not fits:
        raise ValueError(f"{of.name}: expected {allowed}, found {value!r}")


def _is_within(of: "dataclasses.Field[Any]", value: Any) -> bool:
    bounds = of.metadata["bounds"]
    # Written so that NaN, for which every comparison is false, is outside.
    return ("ge" not in bounds or value >= bounds["ge"]) and ("le" not in bounds or value <= bounds["le"])


def _range(of: "dataclasses.Field[Any]") -> str:
    low, high = (of.metadata["bounds"].get(name) for name in ("ge", "le"))
    if low is None:
        return ""
    return f", at least {low}" if high is None else f", {low} to {high}"
