"""Gains of a mesh: parallax in step with the camera's shake has them, what moves by itself has none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from raftline.camera.mesh import centre_shift, mesh_shape
from raftline.camera.parallax import ParallaxField, of_far_plane
from raftline.camera.revision import revised
from tests.raftline.synthetic_motion import HEIGHT, WIDTH, band, grid_flow, similarity

TIMES = np.arange(45) / 30
ROWS, COLUMNS = mesh_shape(WIDTH, HEIGHT)
NEAR_FROM = 12
"""Row of the 8 px grid, of 23."""


def steps(sigma_px: float, seed: int) -> np.ndarray:
    """(N, 2) px a frame."""
    path = np.stack([band(TIMES, 1, 8, sigma_px, seed), band(TIMES, 1, 8, sigma_px, seed + 1)], axis=1)
    return np.diff(path, axis=0, prepend=path[:1])


CAMERA = steps(5.0, 3)


def noisy(flow: np.ndarray, seed: int) -> np.ndarray:
    return flow + np.random.default_rng(seed).normal(0, 0.3, flow.shape)


def layered_flow(at: int, nearness: float = 1.8) -> np.ndarray:
    """Rows from NEAR_FROM on move `nearness` times as far as those above; all turn a little."""
    flow = grid_flow(similarity(*CAMERA[at], degrees=0.1))
    flow[NEAR_FROM:] = grid_flow(similarity(*(nearness * CAMERA[at]), degrees=0.1))[NEAR_FROM:]
    return noisy(flow, at)


def seen(flow_of, field: ParallaxField | None = None, frames: range = range(45)) -> ParallaxField:
    field = field or ParallaxField(WIDTH, HEIGHT)
    for at in frames:
        flow = flow_of(at)
        field.add(at, 1 / 30, flow, similarity(*CAMERA[at], degrees=0.1), np.ones(flow.shape[:2]))
    return field


def test_a_nearer_layer_has_the_gain_by_which_it_moves_farther() -> None:
    gains = seen(layered_flow).gains
    assert gains is not None and gains.shape == (ROWS, COLUMNS)
    edge = NEAR_FROM * 8 / HEIGHT * (ROWS - 1)
    np.testing.assert_allclose(gains[: int(edge) - 1], 0.0, atol=0.02)  # the noise of 0.3 px, and its neighbours' pull
    np.testing.assert_allclose(gains[int(edge) + 2 :], 0.8, atol=0.03)


def test_one_plane_has_no_mesh() -> None:
    assert seen(lambda at: noisy(grid_flow(similarity(*CAMERA[at], degrees=0.1)), at)).gains is None


def test_what_moves_by_itself_has_no_mesh_however_large() -> None:
    own = steps(8.0, 20)

    def flow(at: int) -> np.ndarray:
        found = grid_flow(similarity(*CAMERA[at], degrees=0.1))
        found[5:, 6:36] += own[at].astype(np.float32)
        return noisy(found, at)

    field = ParallaxField(WIDTH, HEIGHT)
    for at in range(45):
        assert seen(flow, field, range(at, at + 1)).gains is None


def test_what_goes_by_at_an_even_pace_before_a_shaking_pan_has_no_mesh() -> None:
    """Its mean motion and the pan's say nothing: only what changes together counts."""

    def flow(at: int) -> np.ndarray:
        found = grid_flow(similarity(*CAMERA[at], degrees=0.1))
        found[5:18, 10:30] += (4.0, 0.0)
        return noisy(found, at)

    assert seen(flow).gains is None


def test_a_camera_that_only_turns_has_no_mesh() -> None:
    field = ParallaxField(WIDTH, HEIGHT)
    for at, degrees in enumerate(CAMERA[:, 0] / 5):
        turn = similarity(0, 0, degrees)
        field.add(at, 1 / 30, noisy(grid_flow(turn), at), turn, np.ones((23, 40)))
    assert field.gains is None


def test_flow_that_is_not_finite_or_not_trusted_takes_no_part() -> None:
    def flow(at: int) -> np.ndarray:
        found = layered_flow(at)
        found[3, 3] = np.nan
        return found

    gains = seen(flow).gains
    assert gains is not None and np.isfinite(gains).all()
    field = ParallaxField(WIDTH, HEIGHT)
    for at in range(45):
        field.add(at, 1 / 30, layered_flow(at), similarity(*CAMERA[at], degrees=0.1), np.zeros((23, 40)))
    assert field.gains is None


def test_a_mesh_comes_and_goes_smoothly() -> None:
    field, strongest = ParallaxField(WIDTH, HEIGHT), [0.0]
    for at in range(45):
        seen(layered_flow, field, range(at, at + 1))
        strongest.append(0.0 if field.gains is None else float(np.abs(field.gains).max()))
    assert strongest[-1] > 0.7
    assert np.abs(np.diff(strongest)).max() < 0.2


def test_content_beside_the_plane_is_hardly_trusted_for_the_next_fit() -> None:
    field = ParallaxField(WIDTH, HEIGHT)
    assert field.trust(23, 40) is None
    trust = seen(layered_flow, field).trust(23, 40)
    assert trust is not None
    assert trust[: NEAR_FROM - 5].min() == 1.0 and trust[NEAR_FROM + 4 :].max() < 0.1


def test_a_plane_that_is_lost_is_looked_for_everywhere_and_the_mesh_goes() -> None:
    field = seen(layered_flow)
    field.lose(1 / 30)
    assert field.trust(23, 40) is None and field.gains is not None
    for _ in range(10):
        field.lose(1 / 30)
    assert field.gains is None


@pytest.mark.parametrize(("after", "most_bytes"), [(5, 20_000), (25, 20_000)])
def test_a_field_goes_on_exactly_from_its_state(after: int, most_bytes: int) -> None:
    whole = seen(layered_flow)
    half = seen(layered_flow, frames=range(after))
    again = seen(layered_flow, ParallaxField.from_state(json.loads(json.dumps(half.state()))), range(after, 45))
    np.testing.assert_array_equal(again.gains, whole.gains)
    assert len(json.dumps(half.state())) < most_bytes


def test_first_frames_that_were_fitted_to_the_other_layer_are_told_anew() -> None:
    """Before gains are known, a fit takes one plane or the other; here twice the near one, else the far one."""
    field, wrong, told = ParallaxField(WIDTH, HEIGHT), (1, 4), []
    for at in range(20):
        fitted = CAMERA[at] * (1.8 if at in wrong else 1.0)
        told += field.add(at, 1 / 30, layered_flow(at), similarity(*fitted, degrees=0.1), np.ones((23, 40)))
    assert [index for index, *_ in told] == list(wrong)
    for index, correction in told:
        shift = revised(np.eye(3), correction)[:2, 2]
        np.testing.assert_allclose(shift, -0.8 * CAMERA[index], atol=0.1)  # of 3 and 5 px, from flow with noise
    assert field.gains is not None
    np.testing.assert_allclose(field.gains[:4], 0.0, atol=0.03)


@pytest.mark.parametrize(("unseen_seconds", "strength"), [(0.0, 0.2), (0.5, 0.8)])
def test_a_mesh_comes_at_once_while_nothing_is_shown_yet(unseen_seconds: float, strength: float) -> None:
    field = ParallaxField(WIDTH, HEIGHT, unseen_seconds)
    for at in range(45):
        seen(layered_flow, field, range(at, at + 1))
        if field.gains is not None:
            break
    assert field.gains is not None
    assert np.abs(field.gains).max() == pytest.approx(strength, abs=0.15)


def test_what_is_fixed_to_the_camera_is_no_plane_to_tell_movement_by() -> None:
    gains = np.zeros((ROWS, COLUMNS))
    gains[ROWS // 2 :] = -1.0
    far, beside = of_far_plane(similarity(6.0, -3.0), gains, WIDTH, HEIGHT)
    np.testing.assert_allclose(far, similarity(6.0, -3.0), atol=1e-9)
    np.testing.assert_allclose(beside, gains)


@pytest.mark.parametrize("gain", [0.8, -0.4])
def test_told_of_the_far_plane_all_content_moves_as_before(gain: float) -> None:
    gains = np.zeros((ROWS, COLUMNS))
    gains[ROWS // 2 :] = gain
    matrix = similarity(6.0, -3.0, 0.4, 1.01)
    far, beside = of_far_plane(matrix, gains, WIDTH, HEIGHT)
    shift = centre_shift(far, WIDTH, HEIGHT)
    moved = (1 + beside[..., None]) * shift
    np.testing.assert_allclose(moved, (1 + gains[..., None]) * (6.0, -3.0), atol=1e-9)
    np.testing.assert_allclose(far[:2, :2], matrix[:2, :2])
    assert beside.min() == pytest.approx(0.0)
