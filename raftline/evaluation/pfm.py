"""Portable float maps, in which FlyingThings3D keeps its flow."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from raftline.flow.files import FlowFileError


def read_pfm_flow(path: Path) -> npt.NDArray[np.float32]:
    """Read the first two of three channels.

    Returns:
        (H, W, 2) float32 px, top row first.

    Raises:
        FlowFileError: no such file, not a PFM of three channels, or truncated.
    """
    if not path.is_file():
        raise FlowFileError(f"flow {path}: no such file")
    try:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise FlowFileError(f"flow {path}: not a PFM file, or truncated")
    if image.ndim != 3 or image.dtype != np.float32:
        raise FlowFileError(
            f"flow {path}: expected a PFM of three float32 channels, found shape {image.shape}, {image.dtype}"
        )
    return np.ascontiguousarray(image[:, :, :0:-1], np.float32)  # OpenCV gives the channels last to first
