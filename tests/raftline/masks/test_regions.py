from __future__ import annotations

import numpy as np

from raftline.masks.regions import regions_of


def test_regions_have_boxes_areas_and_labels_and_parts_that_are_near_belong_together() -> None:
    mask = np.zeros((20, 30), bool)
    mask[2:5, 3:9] = mask[12:14, 20:24] = mask[12:14, 26:28] = mask[18, 2] = True
    regions, labels, small = regions_of(mask, 2, flows=True)
    assert small == []
    assert [(r.box, r.area) for r in regions] == [((3, 2, 6, 3), 18), ((20, 12, 4, 2), 8), ((26, 12, 2, 2), 4)]
    assert labels[3, 4] == 1 and labels[12, 20] == 2 and not labels[18, 2]
    joined, labels, small = regions_of(mask, 12, flows=True, apart=4, small_area=1)
    assert [r.area for r in small] == [1]
    assert [(r.box, r.area) for r in joined] == [((3, 2, 6, 3), 18), ((20, 12, 8, 2), 12)]
    assert not labels[12, 25]
    assert [r.centre for r in joined] == [(5.5, 3.0), ((8 * 21.5 + 4 * 26.5) / 12, 12.5)]


def test_an_empty_mask_has_no_regions() -> None:
    regions, labels, small = regions_of(np.zeros((4, 5), bool), 2, flows=True, apart=2, small_area=1)
    assert regions == small == [] and labels.shape == (4, 5) and not labels.any()
