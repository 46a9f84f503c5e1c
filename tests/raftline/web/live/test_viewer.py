"""What waits for a browser that is slow, and where it goes on."""

from __future__ import annotations

import asyncio

from raftline.web.live.viewer import Item, Viewer

BEGINNING = Item(b"beginning", is_start=True)


def key(number: int) -> Item:
    return Item(b"key %d" % number, is_start=True)


def waiting(viewer: Viewer) -> list[bytes | str]:
    viewer.close()

    async def take() -> list[bytes | str]:
        found = []
        while (item := await viewer.next()) is not None:
            found.append(item.data)
        return found

    return asyncio.run(take())


def test_a_slow_browser_goes_on_at_the_newest_keyframe_with_a_beginning() -> None:
    viewer = Viewer()
    viewer.start([BEGINNING, key(0)])
    viewer.put(Item(bytes(4_000_000)), BEGINNING)
    viewer.put(Item(b"after"), BEGINNING)
    assert viewer.left_out == 4
    viewer.put(key(1), BEGINNING)
    viewer.put(Item(b"more"), BEGINNING)
    assert waiting(viewer) == [b"beginning", b"key 1", b"more"]


def test_many_small_messages_are_bounded_too() -> None:
    viewer = Viewer()
    viewer.start([key(0)])
    for _ in range(10_000):
        viewer.put(Item(b"x"))
    assert len(waiting(viewer)) <= 600


def test_overlays_come_only_to_those_who_draw_them_and_after_a_keyframe() -> None:
    viewer, overlay = Viewer(), Item("{}", overlay=True)
    viewer.start([key(0)])
    viewer.put(overlay)
    viewer.overlays = frozenset({"mask"})
    viewer.put(overlay)
    viewer.start([])
    viewer.put(overlay)
    viewer.put(key(1), BEGINNING)
    viewer.put(overlay)
    assert waiting(viewer) == [b"beginning", b"key 1", "{}"]
