"""What an RGB frame has to be, and its luma."""

import cv2
import numpy as np
import numpy.typing as npt


def check_rgb(image: npt.NDArray[np.uint8], name: str = "frame_rgb") -> None:
    """Check that an image is (H, W, 3) uint8; the message of an error says how to make it so.

    Args:
        image: What should be uint8 (H, W, 3).
        name: What the message calls it.

    Raises:
        TypeError: not a NumPy array.
        ValueError: another dtype or shape.
    """
    expected = "expected uint8 RGB of shape (height, width, 3)"
    if not isinstance(image, np.ndarray):
        raise TypeError(f"{name}: {expected}, a NumPy array; found {type(image).__name__}")
    shape, dtype = image.shape, image.dtype
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or dtype != np.uint8:
        raise ValueError(f"{name}: {expected}, found {dtype} of {shape}{_remedy(shape, dtype)}")


def luma_of(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB, or (H, W) uint8 luma -> (H, W) uint8 luma, 0 to 255."""
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _remedy(shape: tuple[int, ...], dtype: "np.dtype[np.generic]") -> str:
    steps = []
    if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
        steps.append("grey: repeat it in three channels, np.dstack([frame] * 3)")
    elif len(shape) == 3 and shape[2] == 4:
        steps.append("four channels: leave out the last, frame[:, :, :3]")
    elif len(shape) == 3 and shape[0] == 3:
        steps.append("channels first: frame.transpose(1, 2, 0)")
    elif len(shape) == 4:
        steps.append("a batch: give one frame at a time")
    if dtype.kind == "f":
        steps.append("floating point: from the range 0 to 1, (255 * frame).round().astype(np.uint8)")
    return "".join(f". It is {step}" if number == 0 else f"; {step}" for number, step in enumerate(steps))
