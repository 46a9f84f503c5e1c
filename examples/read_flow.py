"""Flow of a running camera, by redis-py alone: python read_flow.py redis://localhost:6379/0 cameras SOURCE flow

The pipeline runs with pixels inline: raftline run cameras -i rtsp://camera/stream --redis redis://localhost:6379/0 \\
    --set payload=inline
"""

import json
import struct
import sys

import redis

url, pipeline, source, stage = sys.argv[1:]
server = redis.Redis.from_url(url, protocol=2)
stream, last = f"raftline:{{{pipeline}}}:stream:{source}:{stage}", "0"
while True:
    for _, entries in server.xread({stream: last}, block=5000) or []:
        for last, fields in entries:
            if fields[b"type"] == b"EndOfStream":
                sys.exit()
            body = json.loads(fields[b"body"])
            if body.get("grid_px") is None:
                continue  # a gap, or the first frame
            place = body["payload"][body["grid_px"]["array"]]
            rows, columns, _ = place["shape"]
            uv = struct.unpack(f"<{rows * columns * 2}f", fields[place["field"].encode()])
            print(body["frame"]["index"], "mean motion", sum(uv[0::2]) * 2 / len(uv), sum(uv[1::2]) * 2 / len(uv), "px")
