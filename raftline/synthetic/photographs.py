"""Photographs as textures: from a folder, or packed into one file for another machine.

python -m raftline.synthetic.photographs FOLDER textures.safetensors
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_JPEG_QUALITY = 92
"""Artifacts that textures do not show once they are scaled. Chosen by hand."""
_LONGEST_SIDE_PX = 1600
"""Six tiles of 256 px side by side; more detail would not reach a frame. Chosen by hand."""


class TexturesError(ValueError):
    """A folder or file without usable photographs; the message names it."""


def read_photographs(source: Path) -> Iterator[npt.NDArray[np.uint8]]:
    """Read photographs in the order of their names.

    Yields:
        (H, W, 3) uint8 RGB.

    Args:
        source: a folder of images, or a file made by `pack_photographs`.

    Raises:
        TexturesError: nothing there, no image in it, or one that cannot be read.
    """
    if source.is_dir():
        files = [file for file in sorted(source.iterdir()) if file.suffix.lower() in SUFFIXES]
        if not files:
            raise TexturesError(f"textures {source}: no image in this folder; expected {', '.join(SUFFIXES)}")
        for file in files:
            yield decode(np.fromfile(file, np.uint8), str(file))
    elif source.is_file():
        for number, jpeg in enumerate(read_packed(source)):
            yield decode(jpeg, f"{source}, number {number}")
    else:
        raise TexturesError(f"textures {source}: not there. Give a folder of photographs or a packed file")


def pack_photographs(source: Path, target: Path) -> int:
    """Write the photographs of a folder as JPEG into one file. Returns how many."""
    return write_packed((bounded(photograph, _LONGEST_SIDE_PX) for photograph in read_photographs(source)), target)


def write_packed(images: Iterable[npt.NDArray[np.uint8]], target: Path) -> int:
    """Write (H, W, 3) RGB images as JPEG into one file. Returns how many. Raises TexturesError if there is none."""
    parameters = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    jpegs = [cv2.imencode(".jpg", image[:, :, ::-1], parameters)[1].ravel() for image in images]
    if not jpegs:
        raise TexturesError(f"{target}: not written, there is no image to put into it")
    lengths = np.array([jpeg.size for jpeg in jpegs], np.int64)
    safetensors.numpy.save_file({"jpegs": np.concatenate(jpegs), "lengths": lengths}, target)
    return len(jpegs)


def read_packed(file: Path) -> list[npt.NDArray[np.uint8]]:
    """The images' JPEG bytes, for `decode`. Raises TexturesError: not a packed file."""
    try:
        tensors = safetensors.numpy.load_file(file)
        jpegs, lengths = tensors["jpegs"], tensors["lengths"]
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        raise TexturesError(
            f"textures {file}: not a file of packed images ({error}). Make one of a folder of photographs with: "
            f"python -m raftline.synthetic.photographs FOLDER {file.name}"
        ) from error
    return np.split(jpegs, np.cumsum(lengths)[:-1])


def decode(encoded: npt.NDArray[np.uint8], name: str) -> npt.NDArray[np.uint8]:
    """An image file's bytes -> (H, W, 3) uint8 RGB. Raises TexturesError, with `name`."""
    image = cv2.imdecode(encoded, cv2.IMREAD_COLOR) if encoded.size else None
    if image is None:
        raise TexturesError(f"texture {name}: not an image, or damaged")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8, copy=False)


def bounded(image: npt.NDArray[np.uint8], longest_side_px: int) -> npt.NDArray[np.uint8]:
    """Shrink an (H, W, 3) image whose longer side is longer than that."""
    scale = longest_side_px / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    print(f"{pack_photographs(Path(sys.argv[1]), Path(sys.argv[2]))} photographs in {sys.argv[2]}")
