"""``doctor``: what this machine has for a pipeline, what it lacks, and what that costs."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import typer
from rich.markup import escape
from rich.table import Table

from raftline.cli.arguments import Debug
from raftline.cli.failures import USER_MISTAKE, in_words, reported
from raftline.cli.results import console

State = Literal["ok", "limited", "missing"]
COLORS: dict[State, str] = {"ok": "green", "limited": "yellow", "missing": "red"}
FRAME_1080P_BYTES = 1920 * 1080 * 3 // 2


class Finding(NamedTuple):
    """One line of the table."""

    what: str
    state: State
    found: str
    cost: str = ""
    """What its absence costs, and what to do."""


@reported
def doctor(debug: Debug = False) -> None:
    """Check this machine: what it has, what is missing, and what that costs. Exits with 2 if no pipeline can run."""
    table = Table("what", "", title="raftline on this machine", title_justify="left")
    for title in ("found", "cost and remedy"):
        table.add_column(title, overflow="fold")
    findings = list(examine())
    for finding in findings:
        color = COLORS[finding.state]
        table.add_row(finding.what, f"[{color}]{finding.state}[/{color}]", escape(finding.found), escape(finding.cost))
    console().print(table)
    if any(finding.state == "missing" for finding in findings):
        raise typer.Exit(USER_MISTAKE)


def examine() -> Iterator[Finding]:
    """Look at everything. A check that fails itself is a finding, too."""
    checks: list[Callable[[], Finding]] = [
        _machine,
        _torch,
        _gpu,
        _cupy,
        _numba,
        _runtime,
        _arithmetic,
        _redis_server,
        _codecs,
        _hardware_video,
        _shared_memory,
        _weights,
        _stages,
    ]
    for check in checks:
        try:
            yield check()
        except Exception as error:
            yield Finding(check.__name__.strip("_").replace("_", " "), "missing", in_words(error))


def _machine() -> Finding:
    from pipeline.runtime.cores import available_cores

    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    found = f"Python {platform.python_version()}, {available_cores()} CPU cores, {memory_gb:.0f} GB memory"
    return Finding("machine", "ok", found)


def _torch() -> Finding:
    import torch

    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for the CPU"
    return Finding("torch", "ok", f"{torch.__version__}, {built}, {torch.get_num_threads()} threads")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        found = f"{device.name}, {device.total_memory / 1e9:.0f} GB, compute {device.major}.{device.minor}"
        return Finding(
            "GPU", "ok", found + (f", {torch.cuda.device_count()} in all" if torch.cuda.device_count() > 1 else "")
        )
    cost = "masks and stabilization take DIS in its place; exact flow takes RAFT on the CPU, tens of times slower"
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        return Finding("GPU", "limited", "there is an NVIDIA driver, but torch is built for the CPU", cost)
    return Finding("GPU", "limited", "none that CUDA can use", cost)


def _cupy() -> Finding:
    import torch

    if importlib.util.find_spec("cupy") is not None:
        names = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
        return Finding("CuPy", "ok", next((v for n in names if (v := _version(n))), "installed"))
    if not torch.cuda.is_available():
        return Finding("CuPy", "ok", "not installed, and without a GPU not needed")
    return Finding(
        "CuPy", "limited", "not installed", "RAFT's lookup runs in plain torch: slower. pip install '.[gpu]'"
    )


def _numba() -> Finding:
    version = _version("numba")
    if version is None:
        return Finding("numba", "limited", "not installed", "RAFT's lookup on the CPU is several times slower")
    return Finding("numba", "ok", version)


def _runtime() -> Finding:
    from raftline.raft.devices import choose_device
    from raftline.raft.runtimes import INSTALL, choose_runtime, openvino_missing

    device = choose_device()
    if choose_runtime(device) == "openvino":
        return Finding("runtime", "ok", f"OpenVINO {_version('openvino')} runs RAFT's convolutions")
    missing = openvino_missing()
    if device.type != "cpu" or missing is None:
        return Finding("runtime", "ok", f"torch runs RAFT's convolutions on {device}")
    cost = f"RAFT's convolutions take about 1.8 times as long as with OpenVINO. {INSTALL}"
    return Finding("runtime", "limited", f"torch runs RAFT's convolutions; OpenVINO: {missing}", cost)


def _arithmetic() -> Finding:
    from raftline.raft.devices import choose_device
    from raftline.raft.precision import choose_precision
    from raftline.raft.runtimes import choose_runtime

    device = choose_device()
    chosen = choose_precision(device, runtime=choose_runtime(device))
    if chosen.name != "float32":
        return Finding("arithmetic", "ok", f"RAFT runs in {chosen.name} on {device}")
    cost = f"torch has no fast 16 bits on this {device.type}: RAFT takes about twice as long as where there are some"
    return Finding("arithmetic", "limited", f"RAFT runs in float32 on {device}", cost)


def _redis_server() -> Finding:
    from pipeline.transport.redis_server import PrivateServer

    server = PrivateServer.start(32)
    try:
        program = server.program
        return Finding("Redis", "ok", f"{program.name} {program.version_text} ({program.path}); started and answered")
    finally:
        server.stop()


def _codecs() -> Finding:
    import av
    from av.codec import Codec

    def has(name: str, mode: Literal["r", "w"]) -> bool:
        try:
            Codec(name, mode)
        except ValueError:
            return False
        return True

    decoders = [name for name in ("h264", "hevc", "vp9", "av1", "libdav1d", "mpeg4", "mjpeg") if has(name, "r")]
    found = f"PyAV {av.__version__}; decodes {', '.join(decoders)}"
    if "h264" not in decoders:
        return Finding("codecs", "missing", found, "no H.264: pip install av from its own wheel")
    if not has("libx264", "w"):
        return Finding(
            "codecs", "missing", found, "no libx264: mp4 cannot be written; pip install av from its own wheel"
        )
    return Finding("codecs", "ok", found + "; encodes H.264 (libx264)")


def _hardware_video() -> Finding:
    from stages.shared.hardware_video import KNOWN, why_not

    reasons = {name: why_not(name) for name in KNOWN}
    usable = [name for name, reason in reasons.items() if reason is None]
    if usable:
        return Finding("video hardware", "ok", f"{', '.join(usable)}: for the decoder's option hwaccel")
    found = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return Finding("video hardware", "ok", f"none ({found})", "the CPU decodes, as it does by default")


def _shared_memory() -> Finding:
    path = Path("/dev/shm")
    if not path.is_dir() or not os.access(path, os.W_OK):
        return Finding(
            "shared memory", "limited", "no /dev/shm", "frames lie in files in the temporary directory: slower"
        )
    free = shutil.disk_usage(path).free
    found = f"{free / 1e6:.0f} MB free in /dev/shm, room for {free // FRAME_1080P_BYTES} frames of 1080p"
    if free < 64 * FRAME_1080P_BYTES:
        disk = tempfile.gettempdir()
        cost = (
            f"fewer frames wait between stages; what does not fit is kept in files in {disk}, which may be slower; "
            "enlarge it (in a container: --shm-size=1g)"
        )
        return Finding("shared memory", "limited", found, cost)
    return Finding("shared memory", "ok", found)


def _weights() -> Finding:
    from raftline.raft.weights.downloads import DOWNLOADS, cache_folder
    from raftline.raft.weights.loading import DEFAULT_WEIGHTS

    cached = [name for name, file in DOWNLOADS.items() if (cache_folder() / file).is_file()]
    more = f"; downloaded: {', '.join(cached)}" if cached else "; others are downloaded when they are asked for"
    if not DEFAULT_WEIGHTS.is_file():
        return Finding(
            "weights",
            "missing",
            f"{DEFAULT_WEIGHTS} is not there",
            "name others with `weights`, or install raftline again",
        )
    return Finding(
        "weights", "ok", f"default ({DEFAULT_WEIGHTS.name}, {DEFAULT_WEIGHTS.stat().st_size / 1e6:.1f} MB){more}"
    )


def _stages() -> Finding:
    from pipeline.registry import names

    found = names()
    if not found:
        return Finding("stages", "limited", "none under a name", "short names do not work; pip install -e .")
    return Finding("stages", "ok", f"{len(found)} installed")


def _version(distribution: str) -> str | None:
    from importlib import metadata  # takes 15 ms to load, and each command loads this module

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
