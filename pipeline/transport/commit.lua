-- Steps of a worker in order, all or nothing: publish, acknowledge, count, store.
-- KEYS: lease, own stream, own open, state, counters, upstream stream, upstream open, own once
-- ARGV: lease token, prefix of held hashes, prefix of free lists, steps (JSON), then the fields and values of the entries
-- Returns {1 if the last step published, entries in the own stream}. Repeating steps changes nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASELOST the lease belongs to another worker')
end
local held, free, told = ARGV[2], ARGV[3], cjson.decode(ARGV[4])

local function position(text)
  local epoch, sequence = string.match(text or '', '^(%d+)-(%d+)$')
  return epoch and {tonumber(epoch), tonumber(sequence)}
end

-- How far a position is beyond another: positive, 0 at it, negative before it.
local function ahead(position, other)
  if not other then return 1 end
  if position[1] ~= other[1] then return position[1] - other[1] end
  return position[2] - other[2]
end

local stored = redis.call('HMGET', KEYS[4], 'published', 'processed', 'written')
local at = {published = position(stored[1]), processed = position(stored[2]), written = tonumber(stored[3] or 0)}
-- What several steps change is written once, at the end.
local state, counts, opened = {}, {}, {}

local function set(fields, name, value) fields[#fields + 1], fields[#fields + 2] = name, value end

local function write(key, fields)
  if #fields > 0 then redis.call('HSET', key, unpack(fields)) end
end

-- Taken again first: what was just in use is still in the processor's cache, as far as it goes.
local function release(ring, slot)
  if redis.call('HINCRBY', held .. ring, slot, -1) <= 0 then
    redis.call('HDEL', held .. ring, slot)
    redis.call('LPUSH', free .. ring, slot)
  end
end

local function acknowledged(id, done)
  local value = redis.call('HGET', KEYS[7], id)
  if not value then return end
  local readers, slots = string.match(value, '^(%d+)(.*)$')
  readers = tonumber(readers) - 1
  if readers > 0 then
    redis.call('HSET', KEYS[7], id, readers .. slots)
    return
  end
  done[#done + 1] = id
  for ring, slot in string.gmatch(slots, ' ([^ /]+)/(%d+)') do release(ring, slot) end
end

-- Publish an entry, whose fields and values begin at an argument.
local function publish(entry, first)
  local add = {'XADD', KEYS[2]}
  if entry.keep > 0 then
    add[3], add[4], add[5] = 'MAXLEN', '=', entry.keep
  end
  add[#add + 1] = '*'
  for index = first, first + entry.parts - 1 do add[#add + 1] = ARGV[index] end
  -- A reader sees by this number what was trimmed before it came, or went to another.
  at.written = at.written + 1
  set(add, 'n', at.written)
  local id = redis.call(unpack(add))
  if entry.once then
    -- The stream is trimmed whether it was read or not; what no later message repeats is kept beside it, without pixels.
    local keep = {'XADD', KEYS[8], 'MAXLEN', '=', entry.keep, id, entry.once, 1}
    for index = 7, #add, 2 do
      if not string.match(add[index], '^a%d+$') then set(keep, add[index], add[index + 1]) end
    end
    redis.call(unpack(keep))
  end
  at.published = entry.position
  if entry.lossless then
    local value = tostring(entry.readers)
    for _, slot in ipairs(entry.slots) do
      value = value .. ' ' .. slot[1] .. '/' .. slot[2]
      redis.call('HINCRBY', held .. slot[1], slot[2], 1)
    end
    set(opened, id, value)
  end
end

local function acknowledge(ids)
  local done = {}
  for _, id in ipairs(ids) do
    if redis.call('XACK', KEYS[6], told.group, id) == 1 then acknowledged(id, done) end
  end
  for begin = 1, #done, 1000 do -- more would not fit on Lua's stack
    local last = math.min(begin + 999, #done)
    redis.call('HDEL', KEYS[7], unpack(done, begin, last))
    redis.call('XDEL', KEYS[6], unpack(done, begin, last))
  end
end

local published, first = 0, 5
for _, step in ipairs(told.steps) do
  local entry = step.entry
  published = 0
  if entry and ahead(entry.position, at.published) > 0 then
    publish(entry, first)
    published = 1
  elseif entry and entry.lossless and not told.again then
    -- Published before a crash: the slots written for it now are not needed. When the step itself is repeated they may
    -- be in use already, and are left alone.
    for _, slot in ipairs(entry.slots) do
      if redis.call('HEXISTS', held .. slot[1], slot[2]) == 0 then redis.call('LPUSH', free .. slot[1], slot[2]) end
    end
  end
  if entry then first = first + entry.parts end

  acknowledge(step.acknowledge)

  local further = step.processed and ahead(step.processed, at.processed) or -1
  if further > 0 then
    at.processed = step.processed
    if step.read then set(state, 'read', step.read) end
    for name, by in pairs(step.counts) do counts[name] = (counts[name] or 0) + by end
  end
  if step.snapshot and (further > 0 or (further == 0 and step.checkpoint)) then set(state, 'snapshot', step.snapshot) end
  if step.checkpoint and further >= 0 then set(state, 'checkpoint', step.checkpoint) end
  if step.ended then set(state, 'ended', 1) end
end

for name, of in pairs({published = at.published, processed = at.processed}) do
  set(state, name, of[1] .. '-' .. of[2])
end
set(state, 'written', at.written)
write(KEYS[4], state)
write(KEYS[3], opened)
for name, by in pairs(counts) do redis.call('HINCRBY', KEYS[5], name, by) end
return {published, redis.call('XLEN', KEYS[2])}
