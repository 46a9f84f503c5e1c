"""Takes the pictures of the page, of two rendered cameras: python -m docs.figures.make_web_pictures

Needs Chromium and GStreamer's RTSP server, as the tests of the page do. It takes some minutes: events have to happen.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import yaml

from stages.synthetic.scene import SyntheticScene
from tests.free_port import free_port
from tests.raftline.web.browser import chromium
from tests.rtsp_server import rtsp_server

_FPS = 10
_SECONDS = 18
_MOVING = {"hill": ((2.0, 7.0), (11.0, 15.0)), "field": ((4.0, 9.0), (10.5, 16.0))}
"""When the car and the balloon are there, s."""
_CAMERAS = {"hill": SyntheticScene(fps=_FPS, seed=4, shake_px=4), "field": SyntheticScene(fps=_FPS, seed=1, shake_px=0)}
_ZONES = {
    "hill": {"Sky": {"corners": [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]}},
    "field": {"Road": {"corners": [[0, 0.5], [1, 0.5], [1, 1], [0, 1]]}},
}
_EVENTS_SECONDS = 100
_LOOKS = 100
_DRAWN = """() => Math.min(...[...document.querySelectorAll("canvas")].map(canvas => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return data.filter((value, index) => index % 4 == 3 && value).length;
}))"""
"""Pixels that are drawn over each of the cameras, of the least."""
_SIZE = {"width": 1200, "height": 860}


def main() -> None:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        urls = {}
        for camera, scene in _CAMERAS.items():
            _write(folder / f"{camera}.mp4", scene, _MOVING[camera])
            urls[camera] = stack.enter_context(rtsp_server(folder / f"{camera}.mp4")).url
        address = stack.enter_context(_cameras(folder, urls))
        browser = stack.enter_context(chromium())
        time.sleep(_EVENTS_SECONDS)
        documents = Path(__file__).resolve().parent.parent
        _keep(documents / "web_live.jpg", _live(browser, address))
        _keep(documents / "web_timeline.jpg", _events(browser, address))


def _write(path: Path, scene: SyntheticScene, moving: tuple[tuple[float, float], ...]) -> None:
    """A clip in which the objects come and go."""
    empty = SyntheticScene(fps=scene.fps, seed=scene.seed, shake_px=scene.shake_px, objects=False)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", _FPS, options={"crf": "20", "g": str(2 * _FPS), "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = scene.width, scene.height, "yuv420p"
        for index in range(_FPS * _SECONDS):
            shown = scene if any(begin <= index / _FPS < end for begin, end in moving) else empty
            frame = av.VideoFrame.from_ndarray(shown.rgb(index), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def _cameras(folder: Path, urls: dict[str, str]) -> Iterator[str]:
    """A run with its page; the page's address."""
    command = [sys.executable, "run_pipeline.py"]
    config, address = folder / "garden.yaml", f"127.0.0.1:{free_port()}"
    subprocess.run([*command, "configs", "copy", "cameras", str(config)], check=True)
    written = yaml.safe_load(config.read_text())
    written["name"] = "garden"
    written["sources"] = {camera: {"input": url} for camera, url in urls.items()}
    written["stages"]["motion_mask"]["options"]["zones"] = _ZONES
    written["stages"]["flow"]["options"]["estimator"] = "dis"
    written["stages"]["recorder"] = {"use": "stages.recorder:Recorder", "reads": "motion_mask"}
    config.write_text(yaml.safe_dump(written, sort_keys=False))
    run = subprocess.Popen([*command, "run", str(config), "-o", str(folder / "out"), "--web", address])
    try:
        yield f"http://{address}"
    finally:
        run.send_signal(signal.SIGINT)
        run.wait(30)


def _live(browser: Any, address: str) -> bytes:
    page = browser.new_page(viewport={**_SIZE, "height": 486}, color_scheme="dark")
    page.goto(address)
    page.get_by_role("link", name="Live").click()
    best, most = b"", 0
    for _ in range(_LOOKS):
        before = page.evaluate(_DRAWN)
        picture = page.screenshot()
        drawn = min(before, page.evaluate(_DRAWN))
        if drawn > most:
            best, most = picture, drawn
        page.wait_for_timeout(300)
    if not best:
        raise SystemExit("nothing is drawn over the live view")
    return best


def _events(browser: Any, address: str) -> bytes:
    page = browser.new_page(viewport=_SIZE)
    page.goto(address)
    page.get_by_role("link", name="Events").click()
    page.get_by_label("Time").select_option("Last hour")
    page.get_by_role("img").first.wait_for()
    page.wait_for_timeout(5000)
    return page.screenshot()


def _keep(path: Path, picture: bytes) -> None:
    image: Any = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 88])
    print(path)


if __name__ == "__main__":
    main()
