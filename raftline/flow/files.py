"""Flow files: Middlebury `.flo`, KITTI's 16-bit PNG, and `.npz`.

In memory a flow is (H, W, 2) float32: (u, v) in px, x right, y down, NaN in both where it is not known.
"""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from raftline.whole_file import written_whole

FlowArray = npt.NDArray[np.float32]

# vision.middlebury.edu/flow/code/flow-code: the tag, and the threshold and value for "unknown".
_FLO_TAG = 202021.25
_FLO_UNKNOWN_ABOVE = 1e9
_FLO_UNKNOWN = 1e10

# KITTI's development kit: (u, v) = (png - 2^15) / 64; the third channel is 1 where the flow is known.
_KITTI_SCALE = 64.0
_KITTI_ZERO = 2.0**15

NPZ_KEY = "flow_px"


class FlowFileError(ValueError):
    """A flow file that cannot be read or a flow that its format cannot hold; the message names the file."""


def read_flow(path: str | Path) -> FlowArray:
    """(H, W, 2) float32 in px, NaN where unknown. The format is told by the suffix.

    Raises:
        FlowFileError: missing, truncated, of another format, or with an unknown suffix.
    """
    path = Path(path)
    reader, _ = _format_of(path)
    if not path.is_file():
        raise FlowFileError(f"flow {path}: no such file")
    return reader(path)


def write_flow(path: str | Path, flow_px: npt.ArrayLike) -> None:
    """Write (H, W, 2) px, NaN where unknown, as the suffix says; the file appears when it is complete.

    Raises:
        FlowFileError: another shape, infinite values, values outside KITTI's +-512 px, or an unknown suffix.
    """
    path = Path(path)
    _, writer = _format_of(path)
    flow = np.asarray(flow_px, dtype=np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise FlowFileError(f"flow {path}: expected an array of shape (height, width, 2), found {flow.shape}")
    if np.isinf(flow).any():
        raise FlowFileError(f"flow {path}: {int(np.isinf(flow).sum())} values are infinite; use NaN for unknown flow")
    with written_whole(path) as part:
        writer(part, flow)


def _format_of(path: Path) -> tuple[Callable[[Path], FlowArray], Callable[[Path, FlowArray], None]]:
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise FlowFileError(f"flow {path}: suffix {suffix!r}; allowed are {', '.join(_FORMATS)}")
    return _FORMATS[suffix]


def _read_flo(path: Path) -> FlowArray:
    data = path.read_bytes()
    if len(data) < 12 or np.frombuffer(data, "<f4", 1)[0] != np.float32(_FLO_TAG):
        raise FlowFileError(f"flow {path}: not a .flo file (the first four bytes are not the tag {_FLO_TAG})")
    width, height = (int(n) for n in np.frombuffer(data, "<i4", 2, offset=4))
    if width < 1 or height < 1:
        raise FlowFileError(f"flow {path}: damaged, its size is given as {width}x{height}")
    expected = 12 + 8 * width * height
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "damaged"
        raise FlowFileError(f"flow {path}: {what}, {width}x{height} needs {expected} bytes, found {len(data)}")
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2).astype(np.float32)
    known = (np.abs(flow) <= _FLO_UNKNOWN_ABOVE).all(axis=2, keepdims=True)
    return np.where(known, flow, np.float32(np.nan))


def _write_flo(path: Path, flow: FlowArray) -> None:
    height, width, _ = flow.shape
    known = np.isfinite(flow).all(axis=2, keepdims=True)
    with path.open("wb") as file:
        file.write(np.array([_FLO_TAG], "<f4").tobytes())
        file.write(np.array([width, height], "<i4").tobytes())
        file.write(np.where(known, flow, np.float32(_FLO_UNKNOWN)).astype("<f4").tobytes())


def _read_kitti(path: Path) -> FlowArray:
    encoded = np.fromfile(path, np.uint8)
    image = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED) if encoded.size else None
    if image is None:
        raise FlowFileError(f"flow {path}: not a PNG, or truncated")
    if image.dtype != np.uint16 or image.ndim != 3 or image.shape[2] != 3:
        raise FlowFileError(
            f"flow {path}: KITTI's format is a PNG of three 16-bit channels (u, v, known); "
            f"found shape {image.shape} of {image.dtype}"
        )
    known, v, u = (image[:, :, channel].astype(np.float32) for channel in range(3))
    flow = (np.stack([u, v], axis=2) - np.float32(_KITTI_ZERO)) / np.float32(_KITTI_SCALE)
    return np.where(known[:, :, None] > 0, flow, np.float32(np.nan))


def _write_kitti(path: Path, flow: FlowArray) -> None:
    known = np.isfinite(flow).all(axis=2)
    encoded = np.round(np.where(np.expand_dims(known, 2), flow, 0) * _KITTI_SCALE + _KITTI_ZERO)
    if encoded.min() < 0 or encoded.max() > np.iinfo(np.uint16).max:
        raise FlowFileError(
            f"flow {path}: KITTI's PNG holds -512 to 511.98 px; found {np.nanmin(flow):.1f} to {np.nanmax(flow):.1f}. "
            "Write .flo or .npz"
        )
    u, v = encoded[:, :, 0], encoded[:, :, 1]
    image = np.stack([known, np.where(known, v, 0), np.where(known, u, 0)], axis=2).astype(np.uint16)
    written, buffer = cv2.imencode(".png", image)
    if not written:
        raise FlowFileError(f"flow {path}: could not be encoded as PNG")
    buffer.tofile(path)


def _read_npz(path: Path) -> FlowArray:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if NPZ_KEY not in archive:
                raise FlowFileError(f"flow {path}: no array {NPZ_KEY!r} in it; found {', '.join(archive) or 'nothing'}")
            flow = archive[NPZ_KEY]
    except FlowFileError:
        raise
    except Exception as error:  # zipfile, zlib and numpy each raise their own for a damaged archive
        raise FlowFileError(f"flow {path}: not an .npz file, or truncated ({error})") from error
    if flow.ndim != 3 or flow.shape[2] != 2:
        raise FlowFileError(f"flow {path}: expected {NPZ_KEY!r} of shape (height, width, 2), found {flow.shape}")
    return flow.astype(np.float32)


def _write_npz(path: Path, flow: FlowArray) -> None:
    np.savez_compressed(path, allow_pickle=False, **{NPZ_KEY: flow})


_FORMATS: dict[str, tuple[Callable[[Path], FlowArray], Callable[[Path, FlowArray], None]]] = {
    ".flo": (_read_flo, _write_flo),
    ".png": (_read_kitti, _write_kitti),
    ".npz": (_read_npz, _write_npz),
}
