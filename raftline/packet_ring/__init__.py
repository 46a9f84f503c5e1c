"""A camera's own packets of the last seconds, in files: one process writes, any number follow it without a lock.

A ring is a folder. Each file in it, ``0000000012.packets``, begins at a keyframe where the camera sends any, and holds
at least a second. A file is only appended to; the oldest are deleted. A reader keeps the file that it has open even
when that is deleted, so it never holds the writer back, and the writer never waits.

A file is ``RAFTPKT1``, a 32-bit length and so many bytes of JSON (`Stream`), then records: a 32-bit length, a kind, and
a body, all little-endian. A record that is cut off, by a writer that was killed, ends its file. A new connection, or a
new writer, begins a new file with an ``epoch`` of its own: times of two epochs have nothing to do with each other.
"""

from raftline.packet_ring.reader import RingReader
from raftline.packet_ring.records import Packet, Record, Shown, Stream
from raftline.packet_ring.times import ContainerTimes
from raftline.packet_ring.writer import PacketRing

__all__ = ["ContainerTimes", "Packet", "PacketRing", "Record", "RingReader", "Shown", "Stream"]
