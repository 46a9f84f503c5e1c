"""Flow of single pairs of images, as a function."""

from __future__ import annotations

import functools
from dataclasses import fields, replace
from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from raftline.flow.estimators import open_session
from raftline.flow.network import open_raft, prepare
from raftline.flow.options import FlowOptions
from raftline.flow.update_loop import UpdateLoop
from raftline.flow.variational import luma_of, refine_on_images
from raftline.raft.model import Raft
from raftline.raft.padding import Padding
from raftline.raft.rgb import check_rgb

Image = TypeVar("Image", npt.NDArray[np.uint8], Tensor)

_ITERATIONS = 12
"""Updates of a pair that has no stream around it. The authors run 20 (arXiv 2003.12039, section 4); with refinement
that gains 2 % on RubberWhale, nothing on average, and loses 4 % on KITTI (`python -m benchmarks.bench_early_stop`)."""


def estimate_flow(image1: Image, image2: Image, *, model: Raft | UpdateLoop | None = None, **options: Any) -> Image:
    """Estimate where each pixel of one image is in another.

    Args:
        image1, image2: both alike: numpy arrays, uint8 (H, W, 3), RGB; or torch tensors, uint8 (3, H, W) or
            (N, 3, H, W), RGB, on any device.
        model: from `load_raft`, for other weights or another device. None: the network that `options` ask for, which
            is kept for the next call.
        options: those of `FlowOptions`, such as ``iterations`` (12 if not given), ``estimator="dis"``, ``device``.

    Returns:
        (u, v) in px, x right, y down, float32: what is at (x, y) in `image1` is at (x + u, y + v) in `image2`. For
        arrays (H, W, 2); for tensors (2, H, W) or (N, 2, H, W), on the images' device.

    Raises:
        ValueError: images of another dtype, shape or layout, or that differ in size; an option out of its range;
            weights (WeightsError) or a device that are not available.
        TypeError: images that are neither arrays nor tensors; an option that there is not.
    """
    known = [field.name for field in fields(FlowOptions)]
    for name in options:
        if name not in known:
            raise TypeError(f"estimate_flow() has no option {name!r}. Its options: {', '.join(known)}")
    wanted = FlowOptions(**{"iterations": _ITERATIONS, **options})
    batch1, batch2 = (_batch(image, name) for image, name in ((image1, "image1"), (image2, "image2")))
    if batch1.shape != batch2.shape:
        raise ValueError(f"image1 and image2: expected one shape, found {_shape(image1)} and {_shape(image2)}")
    flow_px = _dis(batch1, batch2, wanted) if wanted.estimator == "dis" else _raft(batch1, batch2, model, wanted)
    if isinstance(image1, Tensor):
        flow_px = flow_px.to(image1.device)
        return cast(Image, flow_px if image1.ndim == 4 else flow_px[0])
    return cast(Image, flow_px[0].permute(1, 2, 0).contiguous().cpu().numpy())


def _batch(image: Any, name: str) -> Tensor:
    """Images as a uint8 tensor (N, 3, H, W), a view."""
    if isinstance(image, Tensor):
        if image.dtype is not torch.uint8 or image.ndim not in (3, 4) or image.shape[-3] != 3 or 0 in image.shape:
            expected = "a torch tensor uint8 (3, H, W) or (N, 3, H, W), RGB"
            raise ValueError(f"{name}: expected {expected}; found {image.dtype} {_shape(image)}{_hint(image)}")
        return image if image.ndim == 4 else image[None]
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name}: expected a numpy array or a torch tensor, found {type(image).__name__}")
    check_rgb(image, name)
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def _hint(image: Tensor) -> str:
    """What to do about an image of another kind."""
    if image.ndim == 2:
        return "; repeat a grey image image.expand(3, -1, -1)"
    if image.ndim == 3 and image.shape[2] == 3 != image.shape[0]:
        return "; put the channels first: image.permute(2, 0, 1)"
    if image.dtype is not torch.uint8:
        return "; scale to 0-255 and convert to uint8"
    return ""


def _shape(image: np.ndarray | Tensor) -> str:
    return str(tuple(image.shape))


@torch.no_grad()  # not inference_mode: its tensors cannot be used in a training step
def _raft(images1: Tensor, images2: Tensor, model: Raft | UpdateLoop | None, options: FlowOptions) -> Tensor:
    if isinstance(model, Raft):
        loop = prepare(model, options)
    else:
        loop = model or _network(options.weights, options.device, options.runtime, options.precision, options.threads)
    height, width = images1.shape[-2:]
    padding = Padding.for_size(height, width)
    inputs1, inputs2 = (_network_input(images, padding, loop.device) for images in (images1, images2))
    coarse = loop(loop.model.encode(inputs1), loop.model.encode(inputs2), None, options)
    crop = padding.crop(inputs1)
    flow_px = loop.model.upsample(coarse, crop)
    if options.variational_refinement:
        flow_px = refine_on_images(luma_of(inputs1, crop), luma_of(inputs2, crop), flow_px)
    return flow_px


def _network_input(images: Tensor, padding: Padding, device: torch.device) -> Tensor:
    scaled = images.to(device).float().mul_(2 / 255).sub_(1)
    return padding.pad(scaled).contiguous(memory_format=torch.channels_last)


@functools.lru_cache(maxsize=2)
def _network(weights: str, device: str, runtime: Any, precision: Any, threads: int | None) -> UpdateLoop:
    return open_raft(FlowOptions(weights=weights, device=device, runtime=runtime, precision=precision, threads=threads))


def _dis(images1: Tensor, images2: Tensor, options: FlowOptions) -> Tensor:
    flows, alone = [], replace(options, duplicates=None, scene_cut=None)
    for pair in zip(images1, images2, strict=True):
        session = open_session(alone)
        results = [session(image.permute(1, 2, 0).contiguous().cpu().numpy()) for image in pair]
        assert results[1] is not None and results[1].flow_px is not None
        flows.append(torch.from_numpy(results[1].flow_px).permute(2, 0, 1))
    return torch.stack(flows)
