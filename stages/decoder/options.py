"""The options of the decoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.stage import Options
from stages.decoder.hardware import HARDWARE_OPTION
from stages.decoder.packet_tap import PacketRingOptions
from stages.shared.hardware_video import HardwareChoice


class DecoderOptions(Options):
    """What can be told to a `stages.decoder.Decoder`."""

    max_size: tuple[int, int] = Field(
        (8192, 8192),
        description="largest frame accepted, [width, height] in px; checked before memory is allocated",
    )
    threads: int = Field(0, ge=0, le=64, description="number of decoding threads; 0: the stage's share of the cores")
    video_stream: int | None = Field(
        None, ge=0, description="which video stream of a file to decode, counted from 0; null: the best one"
    )
    deinterlace: Literal["auto", "off"] = Field(
        "auto",
        description="auto: make whole frames of interlaced ones (bwdif), if the stream or a file's frames tell "
        "that they are; off: take frames as they are",
    )
    hwaccel: HardwareChoice = HARDWARE_OPTION
    bit_depth: Literal[8, 10] = Field(
        10,
        description="most bits per sample. 10: video of more than 8 bits keeps 10; 8: half the memory, for when "
        "only motion matters",
    )
    span: tuple[int | None, int | None, int | None] | None = Field(
        None,
        description="a part of a file, [seek, first, end]: frames with a presentation time from first on and before "
        "end, decoded from the key frame at seek; in units of the stream's time base, null: not bounded",
    )
    fps: float = Field(25.0, gt=0, le=1000, description="frame rate of a folder of images, in frames per second")
    transport: Literal["auto", "tcp", "udp", "udp_multicast"] = Field(
        "auto",
        description="transport of RTSP cameras; auto: tcp, and udp where the camera refuses that; "
        "udp: less delay, but packets may get lost",
    )
    tls_ca: str | None = Field(
        None,
        description="PEM file of certificates of which that of a camera or server (rtsps, https, rtmps) must be signed "
        "by one; null: encrypted, but not checked, as most cameras sign their own",
    )
    connect_timeout_seconds: float = Field(
        10.0, gt=0, description="longest time one attempt to connect to a camera may take, in seconds"
    )
    read_timeout_seconds: float = Field(
        10.0, gt=0, description="reconnect to a camera that has sent nothing for this long, in seconds"
    )
    first_connection_seconds: float = Field(
        30.0,
        ge=0,
        description="how long to keep trying to reach a camera at the start, in seconds, where the run says once: "
        "true; else a camera is tried for ever",
    )
    reconnect_max_seconds: float = Field(
        4.0,
        gt=0,
        description="longest pause between two attempts to connect to a camera, in seconds; ten minutes where it "
        "refuses the user or the password",
    )
    packet_ring: PacketRingOptions = Field(
        PacketRingOptions(),
        description="cameras only: how many of the packets that the camera sent are kept beside the decoder, for "
        "the live view and for recordings; keys: seconds, max_mb",
    )
    webcam_size: tuple[int, int] | None = Field(
        None, description="frame size to request from a webcam, [width, height] in px; null: its default"
    )
    webcam_fps: float | None = Field(
        None, gt=0, description="frame rate to request from a webcam, in frames per second; null: its default"
    )
    webcam_format: str | None = Field(
        None,
        pattern="^[a-z0-9_]+$",
        description="pixel format or codec to request from a webcam, such as mjpeg; null: its default",
    )
