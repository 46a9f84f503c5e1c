"""The stage `decoder` and its parts."""

from stages.decoder.stage import Decoder

__all__ = ["Decoder"]
