"""Names become keys, and no two the same."""

from __future__ import annotations

import itertools
import re

import pytest

from pipeline.transport.keys import Keys, key_part, ring_name

NAMES = ["a", "cam_1", "A.b-c", "_.", "_.a", "_._5fa", "Ü", "U", "_c3_9c", "_._c3_9c", "日本語", "日本", "a b", "a_b"]
LONG = ["語" * 50, "語" * 49 + "話", "話" + "語" * 49, "a b" * 33, "a b" * 33 + "a"]


def test_no_two_names_become_one_key() -> None:
    for one, other in itertools.combinations(NAMES + LONG, 2):
        assert key_part(one) != key_part(other)
        assert Keys("p").stream(one, "decoder") != Keys("p").stream(other, "decoder")


@pytest.mark.parametrize("name", NAMES + LONG)
def test_keys_and_rings_have_plain_characters_alone_and_fit_into_the_name_of_a_file(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", key_part(name))
    assert len(ring_name(name, "s" * 100) + ":10.ring") < 255


def test_a_plain_name_is_its_own_key() -> None:
    assert key_part("front_door-2.x") == "front_door-2.x"
    assert key_part("Über_fahrt") == "_._c3_9cber_5ffahrt"
