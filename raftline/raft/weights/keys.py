"""From the authors' names of the tensors to those of this project, which are torchvision's."""

import re
from collections.abc import Mapping

from torch import Tensor

_ENCODERS = {"fnet": "feature_encoder", "cnet": "context_encoder"}


_UPDATE = (
    (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
    (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
    (r"^update_block\.encoder\.conv\.", r"update_block.motion_encoder.conv.0."),
    (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
    (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
    (r"^update_block\.mask\.0\.", r"mask_predictor.convrelu.0."),
    (r"^update_block\.mask\.2\.", r"mask_predictor.conv."),
)


def canonical_keys(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under this project's names, whichever of the three kinds of names they came with."""
    bare = {key.removeprefix("module."): value for key, value in tensors.items()}
    if not any(key.startswith(("fnet.", "cnet.")) for key in bare):
        return bare
    bottleneck = any(".conv3." in key for key in bare)
    translated = ((_translate(key, bottleneck), value) for key, value in bare.items())
    return {key: value for key, value in translated if key is not None}


def _translate(key: str, bottleneck: bool) -> str | None:
    """One of the authors' names -> ours, or None for the second name of a tensor."""
    encoder, _, rest = key.partition(".")
    if encoder in _ENCODERS:
        rest = _translate_encoder(rest, bottleneck)
        return None if rest is None else f"{_ENCODERS[encoder]}.{rest}"
    for pattern, replacement in _UPDATE:
        key, count = re.subn(pattern, replacement, key)
        if count:
            break
    return key


def _translate_encoder(rest: str, bottleneck: bool) -> str | None:
    if re.match(rf"layer\d\.\d\.norm{4 if bottleneck else 3}\.", rest):
        return None
    rest = re.sub(r"^conv1\.", "convnormrelu.0.", rest)
    rest = re.sub(r"^norm1\.", "convnormrelu.1.", rest)
    rest = re.sub(r"^conv2\.", "conv.", rest)
    rest = re.sub(r"^(layer\d\.\d\.)conv(\d)\.", r"\1convnormrelu\2.0.", rest)
    return re.sub(r"^(layer\d\.\d\.)norm(\d)\.", r"\1convnormrelu\2.1.", rest)
