"""``export``: the network for other runtimes, and a camera path for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pipeline.errors import InputError, OutputError, UserError
from raftline.cli.arguments import Debug
from raftline.cli.failures import reported
from raftline.cli.output_directory import check_output_file

if TYPE_CHECKING:
    from raftline.stabilize.export.camera_steps import CameraStep

NETWORK_FORMATS, CAMERA_FORMATS = ("onnx", "openvino"), ("gcsv", "trf", "json")
ASSUMED_FIELD_OF_VIEW = 65.0
"""Degrees across the frame, where nothing is said: of a phone's main camera. Chosen by hand."""

CameraPath = Annotated[
    Path | None,
    typer.Argument(
        metavar="[PATH]",
        help="gcsv, trf, json: NAME.path.jsonl, which stabilization wrote. Not for onnx and openvino.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    Literal["onnx", "openvino", "gcsv", "trf", "json"],
    typer.Option(
        "--format",
        help="The network: onnx, openvino. A camera path: gcsv (Gyroflow), trf (vid.stab), json.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="FILE", help="The file to write.", show_default=False)
]
NetworkOption = Annotated[
    Literal["pair", "stream"],
    typer.Option(help="pair: two frames to their flow; stream: a frame, with features and flow in and out."),
]
Weights = Annotated[str, typer.Option(help="As for `raftline flow`: default, a published name, or a file.")]
Iterations = Annotated[int, typer.Option(min=1, max=100, help="Updates of the flow. Each takes seconds to export.")]
TensorRt = Annotated[bool, typer.Option("--torch-tensorrt", help="Also for TensorRT, at 640x480 (.ep). Needs a GPU.")]
FieldOfView = Annotated[
    float | None,
    typer.Option("--fov", metavar="DEGREES", help="Horizontal field of view of the camera.", show_default=False),
]
Focal = Annotated[
    float | None, typer.Option("--focal-px", metavar="PX", help="Its focal length instead, px.", show_default=False)
]


@reported
def export(
    format: FormatOption,
    path: CameraPath = None,
    output: OutputOption = None,
    network: NetworkOption = "pair",
    weights: Weights = "default",
    iterations: Iterations = 12,
    torch_tensorrt: TensorRt = False,
    fov: FieldOfView = None,
    focal_px: Focal = None,
    debug: Debug = False,
) -> None:
    """Export the network for other runtimes, or a measured camera path for other tools.

    \b
    raftline export --format onnx -o raft.onnx
    raftline export --format openvino --network stream -o raft_step.xml
    raftline export out/clip.path.jsonl --format gcsv --fov 70
    raftline export out/clip.path.jsonl --format trf -o clip.trf
    """
    if format in NETWORK_FORMATS:
        if path is not None:
            raise UserError(f"{path}: --format {format} exports the network and takes no file; a camera path is "
                            f"exported as {', '.join(CAMERA_FORMATS)}")  # fmt: skip
        _export_network(format, network, weights, iterations, output, torch_tensorrt)
    elif path is None:
        raise UserError(f"--format {format} needs a camera path: raftline export NAME.path.jsonl --format {format}")
    else:
        _export_camera(format, path, output, fov, focal_px)


def _export_network(
    format: str, network: str, weights: str, iterations: int, output: Path | None, torch_tensorrt: bool
) -> None:
    from raftline.raft.export.files import SUFFIXES, compile_for_tensorrt, export_network
    from raftline.raft.weights.loading import load_raft

    suffix = SUFFIXES[format]  # type: ignore[index]
    output = output or Path(f"raft_{network}{suffix}")
    if output.suffix != suffix:
        raise OutputError(f"{output}: found the suffix {output.suffix or 'none'!r}; {format} has {suffix}")
    check_output_file(output)
    model = load_raft(weights, "cpu").eval()
    print(f"exporting RAFT-{model.architecture} with {iterations} iterations; this takes seconds for each", flush=True)
    try:
        made = export_network(model, network, iterations, format, output)  # type: ignore[arg-type]
    except ImportError as error:
        raise UserError(
            f"{error.name or error} is not installed: pip install 'raftline[export]'"
            + (" 'raftline[openvino]'" if format == "openvino" else "")
        ) from error
    print(f"{output}: {', '.join(made.inputs)} -> {', '.join(made.outputs)}; any size that is a multiple of 8 px, "
          f"at least 128 px; at most {made.largest_difference_px:.1e} px from torch")  # fmt: skip
    if torch_tensorrt:
        engine = output.with_suffix(".ep")
        reason = compile_for_tensorrt(model, iterations, (640, 480), engine)
        print(f"{engine}: left out: {reason}" if reason else f"{engine}: for this GPU, 640x480 px")


def _export_camera(format: str, path: Path, output: Path | None, fov: float | None, focal: float | None) -> None:
    from raftline.stabilize.export.camera_steps import read_steps
    from raftline.stabilize.export.gcsv import gcsv
    from raftline.stabilize.export.plain import plain
    from raftline.stabilize.export.trf import trf
    from raftline.whole_file import written_whole

    name = path.name.removesuffix(".jsonl").removesuffix(".path")
    output = output or path.with_name(f"{name}.{format}" if format != "json" else f"{name}.camera.json")
    try:
        steps = read_steps(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(str(error)) from error
    length, note = _focal(steps, fov, focal)
    flat = sum(step.model in ("similarity", "affine") for step in steps)
    texts = {
        "gcsv": lambda: gcsv(steps, length, f"{name}.mp4", note),
        "trf": lambda: trf(steps),
        "json": lambda: plain(steps, length, note),
    }
    try:
        with written_whole(output) as part:
            part.write_text(texts[format]())
    except OSError as error:
        raise OutputError(f"{output}: cannot be written: {error.strerror or error}") from error
    about = "" if format == "trf" else f"; {note}"
    print(f"{output}: {len(steps)} frames, {steps[-1].pts_seconds - steps[0].pts_seconds:.2f} s{about}")
    if format != "trf" and flat > len(steps) / 2:
        print(
            "note: the path was measured without perspective: turns may be 10 % too short with a wide lens. For exact "
            "ones set stages.stabilization.options.model to homography and stabilize again"
        )


def _focal(steps: list[CameraStep], fov: float | None, focal: float | None) -> tuple[float, str]:
    """Length in px, and how it is known."""
    from raftline.stabilize.export.focal_length import estimated_focal_px
    from raftline.stabilize.export.rotation import field_of_view, focal_px

    width = steps[0].width
    if fov is not None and focal is not None:
        raise UserError("--fov and --focal-px say the same; give one of them")
    if focal is not None:
        if focal <= 0:
            raise UserError(f"--focal-px: expected more than 0 px, found {focal:g}")
        return focal, f"focal length given: {focal:g} px"
    if fov is None and (found := estimated_focal_px(steps)) is not None:
        return found, f"focal length estimated: {found:.0f} px ({field_of_view(width, found):.0f} degrees)"
    try:
        length = focal_px(width, ASSUMED_FIELD_OF_VIEW if fov is None else fov)
    except ValueError as error:
        raise UserError(f"--fov: {error}") from error
    if fov is None:
        return length, f"focal length assumed: {length:.0f} px ({ASSUMED_FIELD_OF_VIEW:g} degrees; --fov says another)"
    return length, f"focal length from a field of view of {fov:g} degrees: {length:.0f} px"
