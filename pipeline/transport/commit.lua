-- One step of a worker, atomic: publish, acknowledge, count, store.
-- KEYS: lease, own stream, own open, state, counters, upstream stream, upstream open, own once
-- ARGV: lease token, prefix of held hashes, prefix of free lists, step (JSON), then the entry's fields and values
-- Returns {1 if published, entries in the own stream}. Repeating a step changes nothing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return redis.error_reply('LEASELOST the lease belongs to another worker')
end
local held, free, step = ARGV[2], ARGV[3], cjson.decode(ARGV[4])

-- How far a position is beyond what is stored: positive, 0 at it, negative before it.
local function ahead(position, field)
  local stored = redis.call('HGET', KEYS[4], field)
  if not stored then return 1 end
  local epoch, sequence = string.match(stored, '^(%d+)-(%d+)$')
  epoch, sequence = tonumber(epoch), tonumber(sequence)
  if position[1] ~= epoch then return position[1] - epoch end
  return position[2] - sequence
end

-- Taken again first: what was just in use is still in the processor's cache, as far as it goes.
local function release(ring, slot)
  if redis.call('HINCRBY', held .. ring, slot, -1) <= 0 then
    redis.call('HDEL', held .. ring, slot)
    redis.call('LPUSH', free .. ring, slot)
  end
end

local function acknowledged(id)
  local value = redis.call('HGET', KEYS[7], id)
  if not value then return end
  local readers, slots = string.match(value, '^(%d+)(.*)$')
  readers = tonumber(readers) - 1
  if readers > 0 then
    redis.call('HSET', KEYS[7], id, readers .. slots)
    return
  end
  redis.call('HDEL', KEYS[7], id)
  redis.call('XDEL', KEYS[6], id)
  for ring, slot in string.gmatch(slots, ' ([^ /]+)/(%d+)') do release(ring, slot) end
end

local published = 0
if step.position and ahead(step.position, 'published') > 0 then
  local add = {'XADD', KEYS[2]}
  if step.keep > 0 then
    add[3], add[4], add[5] = 'MAXLEN', '=', step.keep
  end
  add[#add + 1] = '*'
  for index = 5, #ARGV do add[#add + 1] = ARGV[index] end
  -- A reader sees by this number what was trimmed before it came, or went to another.
  add[#add + 1], add[#add + 2] = 'n', redis.call('HINCRBY', KEYS[4], 'written', 1)
  local id = redis.call(unpack(add))
  if step.once then
    -- The stream is trimmed whether it was read or not; what no later message repeats is kept beside it, without pixels.
    local keep = {'XADD', KEYS[8], 'MAXLEN', '=', step.keep, id, 'without_pixels', 1}
    for index = 7, #add, 2 do
      if not string.match(add[index], '^a%d+$') then keep[#keep + 1], keep[#keep + 2] = add[index], add[index + 1] end
    end
    redis.call(unpack(keep))
  end
  redis.call('HSET', KEYS[4], 'published', step.position[1] .. '-' .. step.position[2])
  if step.lossless then
    local value = tostring(step.readers)
    for _, slot in ipairs(step.slots) do
      value = value .. ' ' .. slot[1] .. '/' .. slot[2]
      redis.call('HINCRBY', held .. slot[1], slot[2], 1)
    end
    redis.call('HSET', KEYS[3], id, value)
  end
  published = 1
elseif step.position and step.lossless and not step.again then
  -- Published before a crash: the slots written for it now are not needed. When the step itself is repeated they may be
  -- in use already, and are left alone.
  for _, slot in ipairs(step.slots) do
    if redis.call('HEXISTS', held .. slot[1], slot[2]) == 0 then redis.call('LPUSH', free .. slot[1], slot[2]) end
  end
end

for _, id in ipairs(step.acknowledge) do
  if redis.call('XACK', KEYS[6], step.group, id) == 1 then acknowledged(id) end
end

local further = step.processed and ahead(step.processed, 'processed') or -1
if further > 0 then
  redis.call('HSET', KEYS[4], 'processed', step.processed[1] .. '-' .. step.processed[2])
  if step.read then redis.call('HSET', KEYS[4], 'read', step.read) end
  for name, by in pairs(step.counts) do redis.call('HINCRBY', KEYS[5], name, by) end
end
if step.snapshot and (further > 0 or (further == 0 and step.checkpoint)) then
  redis.call('HSET', KEYS[4], 'snapshot', step.snapshot)
end
if step.checkpoint and further >= 0 then redis.call('HSET', KEYS[4], 'checkpoint', step.checkpoint) end
if step.ended then redis.call('HSET', KEYS[4], 'ended', 1) end
return {published, redis.call('XLEN', KEYS[2])}
