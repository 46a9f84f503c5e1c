"""`raftline.estimate_flow`: what it takes, what it gives, what it refuses."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

import raftline
from raftline.flow.options import FlowOptions


@pytest.fixture(scope="module")
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A texture, and the same 4 px to the right and 2 px up."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (140, 200, 3), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    return np.ascontiguousarray(texture[2:130, 4:180]), np.ascontiguousarray(texture[4:132, 0:176])


@pytest.mark.parametrize("estimator", ["raft", "dis"])
def test_arrays_give_where_each_pixel_went(pair: tuple[np.ndarray, np.ndarray], estimator: str) -> None:
    flow_px = raftline.estimate_flow(*pair, estimator=estimator)
    assert flow_px.shape == (128, 176, 2) and flow_px.dtype == np.float32
    assert np.median(flow_px, axis=(0, 1)) == pytest.approx((4, -2), abs=0.1)


def test_it_is_what_a_session_gives_for_its_first_pair(pair: tuple[np.ndarray, np.ndarray]) -> None:
    session = raftline.FlowSession(options=FlowOptions(iterations=5, cold_iterations=5))
    session(pair[0])
    result = session(pair[1])
    assert result is not None and result.flow_px is not None
    assert np.array_equal(raftline.estimate_flow(*pair, iterations=5), result.flow_px)


def test_a_batch_of_tensors_gives_a_batch(pair: tuple[np.ndarray, np.ndarray]) -> None:
    one, other = (torch.from_numpy(image).permute(2, 0, 1) for image in pair)
    alone = raftline.estimate_flow(one, other, iterations=3)
    assert alone.shape == (2, 128, 176) and alone.dtype is torch.float32
    both = raftline.estimate_flow(torch.stack([one, other]), torch.stack([other, one]), iterations=3)
    assert both.shape == (2, 2, 128, 176)
    assert (both[0] - alone).abs().max() < 1e-3, "the same up to the order of sums in a batch"
    assert both[1].median() != both[0].median()
    (both * torch.ones(1, requires_grad=True)).sum().backward()  # a tensor like any other


def test_a_model_that_is_given_serves(pair: tuple[np.ndarray, np.ndarray]) -> None:
    model = raftline.load_raft("default", "cpu")
    assert raftline.estimate_flow(*pair, model=model, iterations=2).shape == (128, 176, 2)


def test_images_that_are_the_same_do_not_move(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert np.abs(raftline.estimate_flow(pair[0], pair[0], iterations=4)).max() < 0.2


def image(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (image(64, 64, 3, dtype=np.float32), r"uint8 RGB .*float32 of \(64, 64, 3\).*floating point"),
        (image(64, 64), r"\(64, 64\).*grey: repeat it in three channels"),
        (image(3, 64, 64), r"\(3, 64, 64\).*channels first: .*transpose"),
        (image(64, 64, 4), r"uint8 of \(64, 64, 4\)"),
        (image(0, 64, 3), r"\(0, 64, 3\)"),
        (torch.zeros(3, 64, 64), r"uint8 \(3, H, W\) or \(N, 3, H, W\).*torch.float32.*scale to 0-255"),
        (torch.zeros(64, 64, 3, dtype=torch.uint8), r"\(64, 64, 3\).*channels first"),
    ],
)
def test_an_image_of_another_kind_is_refused_saying_what_was_found(given: np.ndarray, words: str) -> None:
    good = image(64, 64, 3) if isinstance(given, np.ndarray) else torch.zeros(3, 64, 64, dtype=torch.uint8)
    with pytest.raises(ValueError, match=rf"image2: expected .*{words}"):
        raftline.estimate_flow(good, given)  # type: ignore[type-var]


def test_images_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one shape, found \(64, 64, 3\) and \(64, 72, 3\)"):
        raftline.estimate_flow(image(64, 64, 3), image(64, 72, 3))


def test_what_is_no_image_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="image1: expected a numpy array or a torch tensor, found str"):
        raftline.estimate_flow("a.png", "b.png")  # type: ignore[type-var]


def test_an_option_that_there_is_not_is_refused() -> None:
    with pytest.raises(TypeError, match=r"no option 'iteration'.*iterations"):
        raftline.estimate_flow(image(64, 64, 3), image(64, 64, 3), iteration=3)


def test_a_gpu_that_is_not_there_is_said() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ValueError, match=r"(?i)cuda"):
        raftline.estimate_flow(image(64, 64, 3), image(64, 64, 3), device="cuda")


def test_the_face_names_what_it_has() -> None:
    assert set(raftline.__all__) <= set(dir(raftline))
    with pytest.raises(AttributeError, match="it has FlowSession"):
        raftline.estimate_flows  # type: ignore[attr-defined]  # noqa: B018
