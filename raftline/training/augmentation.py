"""Augmentation of pairs from disk, dense and sparse, with the values of the authors' core/utils/augmentor.py."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from raftline.training.options import AugmentationOptions

Image = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]
_MARGIN_PX = 8
"""A scaled image stays this much larger than the crop; the authors' value."""
_SPARSE_MARGIN_PX = 1
"""The same for sparse ground truth."""


class Pair(NamedTuple):
    """Two images and the flow between them."""

    image1: Image
    image2: Image
    flow_px: Flow
    """(H, W, 2)."""
    valid: npt.NDArray[np.bool_]
    """(H, W)."""


def augment(
    pair: Pair, size: tuple[int, int], options: AugmentationOptions, random: np.random.Generator, sparse: bool
) -> Pair:
    """Change a pair at random and crop it.

    Args:
        pair: of any size; one smaller than the crop is enlarged.
        size: (height, width) of the crop, px.
        options: what may change.
        random: decides everything.
        sparse: few pixels' flow is known; it is moved, never interpolated.
    """
    if options.color:
        pair = _recolor(pair, random, alike_always=sparse)
    if random.random() < options.eraser:
        pair = _erase(pair, random)
    pair = _rescale(pair, size, options, random, sparse)
    if options.flips and not sparse:
        if random.random() < 0.5:
            pair = flip_horizontally(pair)
        if random.random() < 0.1:
            pair = flip_vertically(pair)
    return _crop(pair, size, random, sparse)


def flip_horizontally(pair: Pair) -> Pair:
    """Mirror left to right; u changes its sign."""
    return Pair(
        pair.image1[:, ::-1],
        pair.image2[:, ::-1],
        pair.flow_px[:, ::-1] * np.array([-1, 1], np.float32),
        pair.valid[:, ::-1],
    )


def flip_vertically(pair: Pair) -> Pair:
    """Mirror top to bottom; v changes its sign."""
    return Pair(
        pair.image1[::-1], pair.image2[::-1], pair.flow_px[::-1] * np.array([1, -1], np.float32), pair.valid[::-1]
    )


def rescale_dense(pair: Pair, scale_x: float, scale_y: float) -> Pair:
    """Scale by interpolation. Where an unknown pixel takes part, the result is unknown."""
    size = (round(pair.image1.shape[1] * scale_x), round(pair.image1.shape[0] * scale_y))
    scales = np.array([size[0] / pair.image1.shape[1], size[1] / pair.image1.shape[0]], np.float32)
    image1, image2 = (cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in pair[:2])
    flow_px = cv2.resize(np.where(pair.valid[..., None], pair.flow_px, 0).astype(np.float32), size) * scales
    valid = cv2.resize(pair.valid.astype(np.float32), size) > 0.999
    return Pair(image1.astype(np.uint8), image2.astype(np.uint8), flow_px, valid)


def rescale_sparse(pair: Pair, scale_x: float, scale_y: float) -> Pair:
    """Scale by moving each known pixel to the nearest new place. Nothing is filled in between."""
    height, width = pair.valid.shape
    size = (round(width * scale_x), round(height * scale_y))
    image1, image2 = (cv2.resize(image, size, interpolation=cv2.INTER_LINEAR) for image in pair[:2])
    rows, columns = np.nonzero(pair.valid)
    scales = np.array([size[0] / width, size[1] / height], np.float32)
    x = np.round((columns + 0.5) * scales[0] - 0.5).astype(int)
    y = np.round((rows + 0.5) * scales[1] - 0.5).astype(int)
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    flow_px = np.zeros((size[1], size[0], 2), np.float32)
    valid = np.zeros((size[1], size[0]), np.bool_)
    flow_px[y[inside], x[inside]] = pair.flow_px[rows[inside], columns[inside]] * scales
    valid[y[inside], x[inside]] = True
    return Pair(image1.astype(np.uint8), image2.astype(np.uint8), flow_px, valid)


def _rescale(
    pair: Pair, size: tuple[int, int], options: AugmentationOptions, random: np.random.Generator, sparse: bool
) -> Pair:
    height, width = pair.valid.shape
    margin = _SPARSE_MARGIN_PX if sparse else _MARGIN_PX
    least = max((size[0] + margin) / height, (size[1] + margin) / width)
    scale = scale_x = scale_y = 2.0 ** random.uniform(*options.scale)
    if not sparse and random.random() < 0.8:
        scale_x = scale * 2.0 ** random.uniform(-options.stretch, options.stretch)
        scale_y = scale * 2.0 ** random.uniform(-options.stretch, options.stretch)
    scale_x, scale_y = max(scale_x, least), max(scale_y, least)
    if random.random() >= 0.8 and least <= 1:
        return pair
    return (rescale_sparse if sparse else rescale_dense)(pair, scale_x, scale_y)


def _crop(pair: Pair, size: tuple[int, int], random: np.random.Generator, sparse: bool) -> Pair:
    height, width = pair.valid.shape
    # Sparse truth has none in the sky: crops lean towards the bottom, and may begin a little outside, clipped.
    y = int(random.integers(0, height - size[0] + (20 if sparse else 0) + 1))
    x = int(random.integers(-50 if sparse else 0, width - size[1] + (50 if sparse else 0) + 1))
    y, x = int(np.clip(y, 0, height - size[0])), int(np.clip(x, 0, width - size[1]))
    rows, columns = slice(y, y + size[0]), slice(x, x + size[1])
    return Pair(
        np.ascontiguousarray(pair.image1[rows, columns]),
        np.ascontiguousarray(pair.image2[rows, columns]),
        np.ascontiguousarray(pair.flow_px[rows, columns]),
        np.ascontiguousarray(pair.valid[rows, columns]),
    )


def _erase(pair: Pair, random: np.random.Generator) -> Pair:
    """Fill one or two rectangles of the second image with its mean color, as sudden occluders."""
    image2 = pair.image2.copy()
    height, width = pair.valid.shape
    mean = image2.reshape(-1, 3).mean(axis=0)
    for _ in range(int(random.integers(1, 3))):
        x, y = int(random.integers(0, width)), int(random.integers(0, height))
        w, h = (int(side) for side in random.integers(50, 100, 2))
        image2[y : y + h, x : x + w] = mean
    return pair._replace(image2=image2)


def _recolor(pair: Pair, random: np.random.Generator, alike_always: bool) -> Pair:
    """Change brightness, contrast, saturation by up to 0.4 (sparse: 0.3), hue by up to 0.5 / pi turns.

    Both images change alike, except for a fifth of the dense pairs.
    """
    strength = 0.3 if alike_always else 0.4
    if not alike_always and random.random() < 0.2:
        image1, image2 = (_jitter(image, random, strength) for image in pair[:2])
    else:
        both = _jitter(np.concatenate(pair[:2]), random, strength)
        image1, image2 = np.split(both, 2)
    return pair._replace(image1=image1, image2=image2)


def _jitter(image: Image, random: np.random.Generator, strength: float) -> Image:
    brightness, contrast, saturation = random.uniform(1 - strength, 1 + strength, 3).astype(np.float32)
    hue = random.uniform(-1, 1) * 0.5 / 3.14
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    shift = round(180 * hue) % 180
    hsv[..., 0] = (hsv[..., 0].astype(np.int32) + shift) % 180
    turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32) * brightness
    grey = cv2.cvtColor(turned, cv2.COLOR_RGB2GRAY)
    turned = (turned - grey.mean()) * contrast + grey.mean()
    turned = (turned - grey[..., None]) * saturation + grey[..., None]
    return np.clip(turned, 0, 255).astype(np.uint8)
