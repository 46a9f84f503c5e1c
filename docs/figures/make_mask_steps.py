"""Draws the steps of a motion mask, on the rendered clip: python -m docs.figures.make_mask_steps"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from pipeline.messages import Flow, Frame, Mask
from pipeline.testing import TestContext, run_stage
from raftline.camera.camera_motion import fit_camera_motion
from raftline.flow.color import flow_color
from stages.flow import OpticalFlow
from stages.motion_mask import MotionMask
from stages.shared.color import rgb
from stages.synthetic import SyntheticSource

SHOWN = 60
"""The frame that is drawn."""
MAX_PX = 12.0
"""Speed of full saturation, px a frame."""
TITLES = ("frame", "flow", "flow minus the camera's motion", "mask")


def panels() -> list[np.ndarray]:
    """The four images, uint8 (H, W, 3) RGB."""
    source = SyntheticSource(SyntheticSource.Options.model_validate({"seconds": 4}), TestContext())
    frames = [item for item in islice(source.read(0), SHOWN + 12) if isinstance(item, Frame)]
    flows = run_stage(OpticalFlow, frames, {"estimator": "dis"}, TestContext(needs=["flow"]))
    masks = {mask.frame.index: mask for mask in run_stage(MotionMask, flows) if isinstance(mask, Mask)}
    flow = flows[SHOWN]
    assert isinstance(flow, Flow) and flow.flow_px is not None and flow.grid_px is not None
    flow_px, mask = np.asarray(flow.flow_px, np.float32), np.asarray(masks[SHOWN].mask)
    image = rgb(flow.frame)
    shown = np.where(mask[..., None] > 0, (0.4 * image + 0.6 * np.array([255, 0, 200])).astype(np.uint8), image)
    return [image, flow_color(flow_px, MAX_PX), flow_color(flow_px - _camera(flow, flow_px.shape), MAX_PX), shown]


def _camera(flow: Flow, shape: tuple[int, ...]) -> np.ndarray:
    """float32 (H, W, 2) px: how the camera's motion alone would move each pixel."""
    height, width = shape[:2]
    matrix = fit_camera_motion(np.asarray(flow.grid_px), width, height, "homography").matrix
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    points = np.stack([x, y], axis=-1).reshape(1, -1, 2).astype(np.float64)
    return (cv2.perspectiveTransform(points, matrix) - points).reshape(height, width, 2).astype(np.float32)


def sheet(images: list[np.ndarray]) -> np.ndarray:
    """Two by two, a title in the corner of each."""
    titled = [_titled(image.copy(), title) for image, title in zip(images, TITLES, strict=True)]
    gap = np.full((titled[0].shape[0], 8, 3), 255, np.uint8)
    rows = [np.hstack([titled[at], gap, titled[at + 1]]) for at in (0, 2)]
    return np.vstack([rows[0], np.full((8, rows[0].shape[1], 3), 255, np.uint8), rows[1]])


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    (width, height), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, 0.55, 1)
    cv2.rectangle(image, (0, 0), (width + 16, height + 16), (255, 255, 255), cv2.FILLED)
    cv2.putText(image, title, (8, height + 8), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (30, 40, 50), 1, cv2.LINE_AA)
    return image


if __name__ == "__main__":
    target = Path(__file__).with_name("motion_mask_steps.jpg")
    cv2.imwrite(str(target), sheet(panels())[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
