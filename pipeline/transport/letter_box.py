"""Where a stage's dead letters are put, each once."""

from __future__ import annotations

from typing import Any

from pipeline.transport.base import Commit, Entry
from pipeline.transport.keys import Keys

_KEPT, _KEPT_BYTES = 10_000, 16_000_000
"""Per stage. Bounds memory if a stage fails on every message of a camera; letters may hold frames."""
_LARGE_KEPT, _SMALL_BYTES = 4, 4096
"""Letters kept whatever their size, and the size up to which a few more may be kept, which is faster."""
_PUT = """
-- KEYS: lease, attempts, dead letters, upstream stream, upstream open
-- ARGV: lease token, entry, letters kept, "=" or "~", 1 if the entry is no message, then the letter's fields and values
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASELOST the lease belongs to another worker')
end
-- A worker that dies, or whose connection is lost, before it commits the rest leaves the entry to another one.
if redis.call('HSETNX', KEYS[2], 'letter ' .. ARGV[2], 1) == 1 then
  local add = {'XADD', KEYS[3], 'MAXLEN', ARGV[4], ARGV[3], '*'}
  for index = 6, #ARGV do add[#add + 1] = ARGV[index] end
  redis.call(unpack(add))
end
if ARGV[5] == '1' and redis.call('HEXISTS', KEYS[5], ARGV[2]) == 0 then redis.call('XDEL', KEYS[4], ARGV[2]) end
"""


class LetterBox:
    """Of one pipeline. Raises redis-py's errors."""

    def __init__(self, client: Any, keys: Keys) -> None:
        self._keys = keys
        self._put = client.register_script(_PUT)

    def put(self, commit: Commit, entry: Entry, error: str, foreign: bool) -> None:
        """Add an entry to the dead letters of a stage, unless it is there. See `Transport.dead_letter`."""
        keys, own = self._keys, (commit.source, commit.stage)
        upstream = commit.source, commit.upstream or commit.stage
        size = sum(len(value) for value in entry.fields.values())
        kept = max(_LARGE_KEPT, min(_KEPT, _KEPT_BYTES // max(1, size)))
        fields = {"source": commit.source, "entry": entry.id, "error": error, **entry.fields}
        names = [keys.lease(*own), keys.attempts(*own), keys.dead_letters(commit.stage)]
        names += [keys.stream(*upstream), keys.open(*upstream)]
        told = [commit.token, entry.id, kept, "~" if size < _SMALL_BYTES else "=", int(foreign)]
        self._put(keys=names, args=[*told, *(part for pair in fields.items() for part in pair)])
