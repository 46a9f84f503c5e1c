-- Tell of an event, unless it was told already, or comes from a host that another one has replaced.
-- KEYS: lease, owners, told, events. ARGV: camera, token, key of the event, most events kept, field, value, ...
local holder = redis.call('GET', KEYS[1])
local owner = redis.call('HGET', KEYS[2], ARGV[1])
if (holder and holder ~= ARGV[2]) or (owner and owner ~= ARGV[2]) then
  return 'stale'
end
if redis.call('ZADD', KEYS[3], 'NX', redis.call('TIME')[1], ARGV[3]) == 0 then
  return 'known'
end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -2 - 2 * ARGV[4])
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[4], '*', unpack(ARGV, 5))
return 'taken'
