"""A camera's packets beside the decoder, from a real RTSP server."""

from __future__ import annotations

import logging
from itertools import islice

import av
import pytest

from pipeline.messages import Frame
from raftline.packet_ring import Packet, PacketRing, RingReader, Shown
from raftline.packet_ring.parameter_sets import parameter_sets
from stages.decoder.packet_tap import PacketTap
from tests.data import data_path
from tests.rtsp_server import rtsp_server
from tests.stages.decoding import decoder


def test_packets_of_a_camera_are_kept_and_tell_their_frames_over_a_reconnect():
    clip = data_path("video", "odd", "bikes.mp4")
    with rtsp_server(clip) as server, decoder(server.url, reconnect_max_seconds=0.2) as (source, context):
        reading = source.read(0)
        frames = list(islice(reading, 30))
        server.stop()
        server.start()
        frames += list(islice(reading, 30))
        folder = context.run_folder("packets")
        assert folder is not None
        reader = RingReader(folder)
        records = []
        while new := reader.read():
            records += new
    packets = [record for record in records if isinstance(record, Packet)]
    shown = [record for record in records if isinstance(record, Shown)]
    assert packets[0].is_keyframe and packets[0].stream.codec == "h264" and packets[0].stream.extradata
    assert {(packet.stream.width, packet.stream.height) for packet in packets} == {(640, 272)}
    assert len({packet.stream.epoch for packet in packets}) == 2
    messages = {frame.index: frame.header.pts for frame in frames if isinstance(frame, Frame)}
    told = {each.index: each.pts for each in shown}
    assert messages.items() <= told.items() and len(messages) >= 58
    own = {(packet.stream.epoch, packet.pts) for packet in packets}
    assert {(each.stream.epoch, each.packet_pts) for each in shown} <= own


def test_files_and_cameras_without_a_ring_leave_no_packets():
    clip = data_path("video", "odd", "bikes.mp4")
    with decoder(clip) as (source, context):
        list(islice(source.read(0), 3))
        assert not (context.directory / "run").exists()
    with rtsp_server(clip) as server, decoder(server.url, packet_ring={"seconds": 0}) as (source, context):
        list(islice(source.read(0), 3))
        assert not (context.directory / "run").exists()


@pytest.mark.parametrize(("name", "codec"), [("bikes.mp4", "h264"), ("h265_10bits.mp4", "hevc")])
def test_packets_with_lengths_are_kept_with_start_codes_and_still_decoded(tmp_path, name, codec):
    ring = PacketRing(tmp_path, 30, 1 << 26)
    tap = PacketTap(ring, logging.getLogger(), lambda name, by: None)
    with av.open(str(data_path("video", "odd", name))) as container:
        stream = container.streams.video[0]
        tap.connect(stream)
        frames = 0
        for packet in islice(container.demux(stream), 20):
            tap.packet(packet)
            frames += len(packet.decode())
    tap.close()
    packets = [record for record in RingReader(tmp_path).read() if isinstance(record, Packet)]
    assert len(packets) == 20 and frames > 10
    assert packets[0].stream.extradata == parameter_sets(codec, packets[0].data) != b""
    assert all(packet.data.startswith((b"\0\0\0\1", b"\0\0\1")) for packet in packets)
