"""Options of the video writer, and what of them goes together."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from pipeline import stage
from stages.shared.name_templates import check_suffix
from stages.video_writer.codecs import CODECS, Quality
from stages.video_writer.containers import SUFFIXES

_HIGHEST_CRF = 51
"""Of x264 and x265."""


class VideoWriterOptions(stage.Options):
    """Options of the stage `video_writer`."""

    path: str = Field(
        "{source}.stabilized.mp4",
        description="file to write; {source} and {stage} are replaced by their names, its suffix by that of container",
    )
    container: Literal["auto", "mp4", "mkv", "mov"] = Field(
        "auto",
        description="mp4: plays everywhere; mkv: holds all tracks; mov: holds PCM sound; "
        "auto: as the suffix of path says, or mkv for ffv1",
    )
    codec: Literal["auto", "h264", "hevc", "av1", "ffv1"] = Field(
        "auto",
        description="h264: plays everywhere; hevc, av1: smaller, slower to write; ffv1: lossless, mkv only; "
        "auto: h264, or hevc for video of more than 8 bits",
    )
    encoder: Literal["cpu", "auto", "nvenc"] = Field(
        "cpu",
        description="what encodes h264 and hevc of 8 bits: the CPU, or an NVIDIA GPU (nvenc); auto: the GPU if there "
        "is one. Where it cannot, the CPU does, and log and status say so",
    )
    crf: float = Field(
        18,
        ge=0,
        le=63,
        description="quality, the encoder's constant rate factor: 0 (best) to 51 (worst), for av1 to 63, where 25 is "
        "about 18 of h264; ffv1 is lossless",
    )
    quality: Quality = Field(
        "balanced",
        description="time spent on a frame. fast: three quarters of balanced's, for 0.1 to 0.3 dB less; "
        "best: one and a half times, for 0.5 dB more; the file's size stays about the same",
    )
    preset: (
        Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"] | None
    ) = Field(None, description="preset of x264 or x265, instead of what quality chooses; null: as quality says")
    audio: bool = Field(True, description="copy the sound of the input file")
    tls_ca: str | None = Field(
        None,
        description="PEM file of certificates of which that of the server must be signed by one, for the sound of an "
        "input that is read over https, as the decoder's tls_ca; null: it is not checked",
    )
    start: Literal["keep", "zero"] = Field(
        "keep", description="keep: time stamps as in the input; zero: the first frame or sound is at 0 s"
    )
    threads: int = Field(0, ge=0, le=64, description="number of encoder threads; 0: the stage's share, at most 4")

    @field_validator("path")
    @classmethod
    def _ends_in_a_suffix(cls, path: str) -> str:
        return check_suffix(path, *SUFFIXES)

    @model_validator(mode="after")
    def _fits_together(self) -> VideoWriterOptions:
        stem, _, suffix = self.path.rpartition(".")
        container = self.container if self.container != "auto" else suffix
        if self.codec != "auto":
            codec = CODECS[self.codec]
            if self.container == "auto" and container not in codec.containers:
                container = codec.containers[0]
            if container not in codec.containers:
                raise ValueError(
                    f"container {container} does not hold codec {codec.name}; allowed are {', '.join(codec.containers)}"
                )
            if self.crf > (codec.highest_crf or self.crf):
                raise ValueError(f"crf {self.crf:g} is too high for codec {codec.name}: at most {codec.highest_crf}")
        elif self.crf > _HIGHEST_CRF:
            raise ValueError(f"crf {self.crf:g} is too high: at most {_HIGHEST_CRF}, for codec av1 63")
        if self.preset is not None and self.codec in ("av1", "ffv1"):
            raise ValueError(f"preset is of codecs h264 and hevc; remove it for {self.codec}, and set quality instead")
        object.__setattr__(self, "path", f"{stem}.{container}")
        return self
