"""Dead letters: messages that could not be read or used, kept for people to look at.

A letter is an entry of the stream `Keys.buried`:

    body      the bytes; of more than WHOLE_BYTES only the first CUT_BYTES, and then `cut` is 1
    size      how many bytes there were
    id        the group, where the entry named one
    reason    why it was buried
    stage, consumer    where from, by whom

The newest KEPT letters are kept.
"""

from collections.abc import Mapping

from openrs_core.ring.keys import Stage

KEPT = 10_000
"""Letters; older ones make room."""

WHOLE_BYTES, CUT_BYTES = 1 << 20, 64 << 10
"""The largest body that is kept whole, and what is kept of a larger one."""

LONGEST_ID, LONGEST_REASON = 200, 1000
"""Bytes of the group id and characters of the reason that are kept."""

# KEYS: stage, dead letters.  ARGV: consumer group, entry id, letters kept, field, value, ...
BURY = """
if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return 0 end
redis.call('XDEL', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], '*', unpack(ARGV, 4))
return 1
"""

# KEYS: dead letters, stage.  ARGV: letter id.  The XADD is first: a full Redis refuses it, and
# then nothing has happened.
REQUEUE = """
local found = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
if #found == 0 then return 0 end
local entry = {}
for i = 1, #found[1][2], 2 do
  local field = found[1][2][i]
  if field == 'cut' then return 0 end
  if field == 'body' or field == 'id' then
    table.insert(entry, field)
    table.insert(entry, found[1][2][i + 1])
  end
end
redis.call('XADD', KEYS[2], '*', unpack(entry))
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
"""

# KEYS: dead letters.  ARGV: newest id to look at, how many.  All but the bodies, newest first.
HEADS = """
local heads = {}
for _, letter in ipairs(redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])) do
  local head = {letter[1]}
  for i = 1, #letter[2], 2 do
    if letter[2][i] ~= 'body' then
      table.insert(head, letter[2][i])
      table.insert(head, letter[2][i + 1])
    end
  end
  table.insert(heads, head)
end
return heads
"""


def letter(
    entry: Mapping[bytes, bytes], reason: str, stage: Stage, consumer: str
) -> list[str | bytes | int]:
    """The fields and values of the letter that an entry of a stage becomes."""
    body = entry.get(b"body", b"")
    cut = len(body) > WHOLE_BYTES
    parts: list[str | bytes | int] = ["body", body[:CUT_BYTES] if cut else body]
    parts += ["size", len(body), "reason", reason[:LONGEST_REASON]]
    parts += ["stage", stage, "consumer", consumer]
    if b"id" in entry:
        parts += ["id", entry[b"id"][:LONGEST_ID]]
    return [*parts, "cut", 1] if cut else parts
