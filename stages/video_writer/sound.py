"""The sound of the input for the output: packets copied, or AAC if the container cannot hold the codec."""

from __future__ import annotations

from typing import Any

import av
from av.container import OutputContainer

from stages.video_writer.containers import Container

_AAC_RATES_HZ = (48000, 96000, 88200, 64000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_BITS_PER_CHANNEL_S = 80_000
"""160 kbit/s for stereo. Chosen by hand."""
_SAMPLES_PER_PACKET = 1024
"""Of AAC-LC (ISO/IEC 14496-3)."""


class TranscodedSound:
    """A track of sound, encoded anew as AAC."""

    def __init__(self, source: Any, output: OutputContainer, container: Container) -> None:
        """Add a track like `source` to `output`."""
        self.source = source
        rate = source.rate if source.rate in _AAC_RATES_HZ else _AAC_RATES_HZ[0]
        channels = source.codec_context.layout.nb_channels
        layout = "mono" if channels == 1 else "stereo"
        self.target: Any = output.add_stream("aac", rate=rate, layout=layout, format="fltp")
        self.target.codec_context.bit_rate = _BITS_PER_CHANNEL_S * (1 if channels == 1 else 2)
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=_SAMPLES_PER_PACKET)
        name = source.codec_context.codec.canonical_name
        mixed = f", {channels} channels mixed down to stereo" if channels > 2 else ""
        self.description = f"{name} transcoded to aac, because {container.name} cannot hold it{mixed}"

    def take(self, packet: av.Packet) -> list[av.Packet]:
        """The packets that are ready; all that are left for the empty packet that ends a stream."""
        made = [out for frame in packet.decode() for out in self._encoded(frame)]  # type: ignore[arg-type]
        if packet.dts is None:
            made += self._encoded(None)
            made += self.target.encode(None)
        return made

    def _encoded(self, frame: av.AudioFrame | None) -> list[av.Packet]:
        return [packet for resampled in self._resampler.resample(frame) for packet in self.target.encode(resampled)]
