"""How planes move between three frames: poses of the camera and of objects.

The distributions were chosen by hand.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]


class Pose(NamedTuple):
    """Where a plane is, relative to where it is in the middle frame."""

    x_px: float = 0.0
    y_px: float = 0.0
    angle: float = 0.0
    """Radians."""
    log_scale: float = 0.0
    tilt_x: float = 0.0
    """Perspective: the plane turns out of the image plane, 1/px."""
    tilt_y: float = 0.0

    def times(self, factor: float) -> "Pose":
        """Multiply the parameters."""
        return Pose(*(factor * value for value in self))

    def plus(self, other: "Pose") -> "Pose":
        """Add the parameters."""
        return Pose(*(a + b for a, b in zip(self, other, strict=True)))

    def homography(self, centre: tuple[float, float]) -> Matrix:
        """(3, 3) float64: px in the middle frame -> px in the frame of this pose. No motion is exactly the identity."""
        if not any(self):
            return np.eye(3)
        x, y = centre
        scale = math.exp(self.log_scale)
        cos, sin = scale * math.cos(self.angle), scale * math.sin(self.angle)
        about = np.array([[cos, -sin, 0], [sin, cos, 0], [self.tilt_x, self.tilt_y, 1]])
        there = np.array([[1, 0, x + self.x_px], [0, 1, y + self.y_px], [0, 0, 1.0]])
        return there @ about @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])


class Lengths(NamedTuple):
    """Distribution of the motion from one frame to the next."""

    none: float
    """Share that does not move."""
    small: float
    """Share that moves by 0.05 to 2 px."""
    largest: float
    """Of the others, as a share of the width."""


class Motion(NamedTuple):
    """Poses in the first and the third of three frames."""

    first: Pose = Pose()
    third: Pose = Pose()


def draw_length_px(random: np.random.Generator, width: int, lengths: Lengths) -> float:
    """A distance between two frames; of those that are neither none nor small, shorter ones are more frequent."""
    kind = random.random()
    if kind < lengths.none:
        return 0.0
    if kind < lengths.none + lengths.small:
        return float(np.exp(random.uniform(math.log(0.05), math.log(2.0))))
    return 1.0 + random.random() ** 2 * max(0.0, lengths.largest * width - 1.0)


def draw_velocity(random: np.random.Generator, width: int, lengths: Lengths) -> Pose:
    """A pose one frame ahead. Turning, zoom and tilt are in proportion to what a shift of that length shows."""
    length_px = draw_length_px(random, width, lengths)
    direction = random.uniform(0, 2 * math.pi)
    # The share of the length at a quarter of the width from the centre that comes from other than a shift.
    turn, zoom = random.normal(0, 1, 2) * length_px / (width / 4) * (random.random(2) < 0.4) * 0.35
    tilt = random.normal(0, 1, 2) * length_px / (width / 2) ** 2 * (random.random() < 0.3) * 0.35
    limit = 0.3 / (2 * width)
    tilt_x, tilt_y = np.clip(tilt, -limit, limit)
    shift_px = length_px * math.sqrt(random.random())
    return Pose(
        shift_px * math.cos(direction),
        shift_px * math.sin(direction),
        float(np.clip(turn, -0.4, 0.4)),
        float(np.clip(zoom, -0.3, 0.3)),
        float(tilt_x),
        float(tilt_y),
    )


def draw_steady(random: np.random.Generator, width: int, lengths: Lengths) -> Motion:
    """Nearly the same step twice; at times one that begins, ends or turns back in the middle frame."""
    velocity = draw_velocity(random, width, lengths)
    kind = random.random()
    first, third = velocity.times(-1 - random.normal(0, 0.08)), velocity.times(1 + random.normal(0, 0.08))
    if kind < 0.06:
        return Motion(Pose(), third)
    if kind < 0.12:
        return Motion(first, Pose())
    if kind < 0.15:
        return Motion(third, third)
    return Motion(first, third)


def draw_shake(random: np.random.Generator, width: int) -> Motion:
    """A camera held by hand: two poses that have nothing to do with each other, up to some hundredths of the width."""
    amplitude_px = width * 0.05 * random.random() ** 2

    def pose() -> Pose:
        x, y, angle, log_scale = random.normal(0, 1, 4)
        scale = amplitude_px / width
        return Pose(amplitude_px * x, amplitude_px * y, 0.6 * scale * angle, 0.3 * scale * log_scale)

    return Motion(pose(), pose())


def draw_camera(random: np.random.Generator, width: int, still: float, shaken: float, lengths: Lengths) -> Motion:
    """Still, shaken, or moving steadily and then often shaken too."""
    kind = random.random()
    if kind < still:
        return Motion()
    if kind < still + shaken:
        return draw_shake(random, width)
    steady = draw_steady(random, width, lengths)
    if random.random() < 0.6:
        return steady
    shake = draw_shake(random, width)
    return Motion(steady.first.plus(shake.first.times(0.3)), steady.third.plus(shake.third.times(0.3)))
