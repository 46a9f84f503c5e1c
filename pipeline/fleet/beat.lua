-- A host's heartbeat, by the server's clock, and what all hosts said last.
-- KEYS: hosts, revision, strikes. ARGV: host, its report.
local time = redis.call('TIME')
local now_ms = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('HSET', KEYS[1], ARGV[1], now_ms .. ' ' .. ARGV[2])
return {now_ms, redis.call('GET', KEYS[2]), redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[3])}
