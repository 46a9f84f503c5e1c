"""Outlines by color."""

import numpy as np

from raftline.masks.refinement import Evidence, refined

HIGH, WIDE = 120, 160
THING = (slice(40, 80), slice(60, 90))
UNLIKE = np.uint8(6 * 16)
"""Distance of what looks unlike the background by far, in steps."""


def scene(color: tuple[int, int, int] = (70, 120, 140)) -> tuple[np.ndarray, Evidence]:
    """A thing on a ground of another color, and all that is known of it: where it is, and its evidence."""
    rng = np.random.default_rng(0)
    truth = np.zeros((HIGH, WIDE), bool)
    truth[THING] = True
    colors = np.where(truth[..., None], np.array(color), np.array((150, 128, 128)))
    image = np.clip(colors + rng.normal(0, 2, colors.shape), 0, 255).astype(np.uint8)
    distance = np.where(truth, UNLIKE, np.uint8(26))
    return truth, Evidence(image, distance, np.ones(truth.shape, bool), truth.copy())


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    return np.count_nonzero(found & truth) / np.count_nonzero(found | truth)


def test_a_good_outline_stays() -> None:
    truth, evidence = scene()
    for trusted in (True, False):
        assert iou(refined(truth, evidence, trusted), truth) > 0.97


def test_the_rest_of_a_thing_over_unknown_background_is_found_by_its_color() -> None:
    truth, evidence = scene()
    evidence.known[:, 80:] = False
    evidence.distance[:, 80:] = 0
    half = truth.copy()
    half[:, 80:] = False
    assert iou(half, truth) < 0.7
    assert iou(refined(half, evidence, True), truth) > 0.95


def test_a_ghost_that_looks_like_the_ground_goes_where_the_background_is_not_trusted() -> None:
    truth, evidence = scene()
    moves = truth.copy()
    moves[40:80, 90:100] = True
    evidence.distance[moves] = UNLIKE
    assert iou(refined(moves, evidence, False), truth) > 0.95
    assert refined(moves, evidence, True)[45:75, 90:98].all()


def test_a_hole_that_was_filled_opens_where_it_looks_like_the_ground() -> None:
    truth, evidence = scene()
    hole = (slice(52, 68), slice(68, 82))
    evidence.image[hole] = evidence.image[:16, :14]
    evidence.distance[hole] = 26
    assert not refined(truth, evidence, True)[56:64, 72:78].any()


def test_what_has_too_few_points_to_tell_its_colors_stays_as_it_is() -> None:
    _, evidence = scene()
    moves = np.zeros((HIGH, WIDE), bool)
    moves[20:25, 20:25] = True
    assert np.array_equal(refined(moves, evidence, True), moves)


def test_a_region_does_not_take_points_of_another() -> None:
    truth, evidence = scene()
    moves = truth.copy()
    moves[40:80, 105:130] = True
    found = refined(moves, evidence, True)
    assert iou(found[:, :95], truth[:, :95]) > 0.95


def test_no_region_no_mask() -> None:
    truth, evidence = scene()
    assert not refined(np.zeros_like(truth), evidence, True).any()
