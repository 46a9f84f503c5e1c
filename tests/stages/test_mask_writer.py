from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.messages import EndOfStream, Mask
from pipeline.testing import TestContext, run_stage
from stages.mask_writer import MaskWriter
from tests.stages.frames import end, header, yuv_frame
from tests.stages.stage_bench import Machine, bench_context


def mask(index: int, width: int = 31, height: int = 17) -> Mask:
    """White up to the column of the index."""
    values = np.zeros((height, width), np.uint8)
    values[:, : index + 1] = 255
    frame = yuv_frame(index, 40 * index, width, height)
    return Mask(frame.header, frame, values)


def written(folder):
    return {
        path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def test_each_frame_has_a_mask_of_its_size_under_its_index(tmp_path):
    context = TestContext(source="clip", directory=tmp_path)
    run_stage(MaskWriter, [mask(i) for i in range(3)], context=context)
    files = written(tmp_path / "clip.masks")
    assert list(files) == ["000000.png", "000001.png", "000002.png"]
    for index, values in enumerate(files.values()):
        np.testing.assert_array_equal(values, np.asarray(mask(index).mask))


def test_dropped_frames_leave_a_hole_so_that_numbers_keep_their_meaning(tmp_path):
    run_stage(MaskWriter, [mask(0), mask(5)], context=TestContext(source="clip", directory=tmp_path))
    assert list(written(tmp_path)) == ["000000.png", "000005.png"]


def test_masks_of_a_longer_run_before_do_not_stay_behind(tmp_path):
    run_stage(MaskWriter, [mask(i) for i in range(6)], context=TestContext(source="clip", directory=tmp_path))
    run_stage(MaskWriter, [mask(i) for i in range(2)], context=TestContext(source="clip", directory=tmp_path))
    assert list(written(tmp_path)) == ["000000.png", "000001.png"]


def test_a_failed_file_leaves_no_masks_not_even_those_before_a_crash(tmp_path):
    machine = Machine(MaskWriter, bench_context(tmp_path))
    machine.deliver(mask(0), mask(1))
    machine.kill()
    machine.deliver(mask(2), end(3, "failed"))
    assert written(tmp_path) == {}


def test_a_camera_that_fails_keeps_the_masks_it_gave(tmp_path):
    context = TestContext(source="clip", directory=tmp_path, live=True)
    run_stage(MaskWriter, [mask(0)], context=context, end=EndOfStream(header(9), "failed"))
    assert list(written(tmp_path)) == ["000000.png"]


def test_a_mask_delivered_twice_is_one_file(tmp_path):
    machine = Machine(MaskWriter, bench_context(tmp_path))
    machine.deliver(mask(0))
    machine.stage.process(mask(1))
    machine.kill()
    machine.deliver(mask(1), end(2))
    assert list(written(tmp_path)) == ["000000.png", "000001.png"]


def test_the_folder_of_two_sources_may_be_the_same(tmp_path):
    for source in ("a", "b"):
        context = TestContext(source=source, directory=tmp_path)
        messages = [replace(mask(0), header=replace(header(0), source=source))]
        run_stage(MaskWriter, messages, {"path": "masks/{source}-{index}.png"}, context)
    assert list(written(tmp_path)) == ["a-0.png", "b-0.png"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("{source}.png", "has no {index}"),
        ("{index}.jpg", "must end in .png"),
        ("{index}{frame}.png", "holds {frame}; allowed are {index}, {source} and {stage}"),
    ],
)
def test_a_path_that_cannot_work_is_refused_with_the_reason(path, words):
    with pytest.raises(ValueError) as caught:
        MaskWriter.Options.model_validate({"path": path})
    assert words in str(caught.value)


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path):
    (tmp_path / "clip.masks").write_text("in the way")
    with pytest.raises(OutputError, match=r"clip\.masks"):
        run_stage(MaskWriter, [mask(0)], context=TestContext(source="clip", directory=tmp_path))
