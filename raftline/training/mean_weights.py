"""The mean of the weights of several trainings, float16: often better than each of them.

python -m raftline.training.mean_weights mean.safetensors WEIGHTS WEIGHTS [WEIGHTS ...]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import safetensors.torch

from raftline.raft.weights.loading import read_tensors


def write_mean(files: Sequence[Path], output: Path) -> None:
    """Write the mean of each tensor over all files.

    Raises:
        ValueError: If the files are of different networks.
        WeightsUnreadable: If one of them holds no weights.
    """
    networks = [read_tensors(file) for file in files]
    shapes = [{name: tensor.shape for name, tensor in network.items()} for network in networks]
    for file, found in zip(files, shapes, strict=True):
        if found != shapes[0]:
            differing = sorted(name for name in {*found, *shapes[0]} if found.get(name) != shapes[0].get(name))
            raise ValueError(
                f"{file} and {files[0]} are of different networks: they differ in {', '.join(differing[:3])}"
            )
    means = {name: sum(network[name] for network in networks) / len(networks) for name in networks[0]}
    safetensors.torch.save_file({name: mean.half() for name, mean in means.items()}, output)  # pyright: ignore


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    write_mean([Path(file) for file in sys.argv[2:]], Path(sys.argv[1]))
    print(f"the mean of {len(sys.argv) - 2} files in {sys.argv[1]}")
