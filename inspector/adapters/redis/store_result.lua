-- Store one result: fence, duplicate, write, index, trim. Redis runs it as a whole or, refusing the first write, not at all.
--
-- KEYS  1 fence, 2 result, 3 frame, 4 overlay, 5 mask, 6 regions, 7 stream, 8 index it belongs in, 9 the other index,
--       10 arrivals it belongs in, 11 the other arrivals, 12 seen, 13 cameras,
--       14 highest offset stored of the partition
-- ARGV  see result_store.py, which lists them in the same order
--
-- ARGV[1] is the fencing token of a partition's owner. `reconcile`, which owns none, says `restore` (write the result if
-- there is none) or `reindex` (list again the result that is there) in its place; neither touches the fence or a result.
--
-- The trimmed frames' keys cannot be declared in KEYS, because only the index knows them: one server, not a cluster.
local restore, reindex = ARGV[1] == 'restore', ARGV[1] == 'reindex'
local token, fence_ttl_s = tonumber(ARGV[1]), ARGV[2]
local topic, partition, offset = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local frame_id, camera_id, label, score, captured_ms = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local ttl_s, limit = ARGV[11], tonumber(ARGV[12])
local longest_s, stream_length, sweep_limit = tonumber(ARGV[13]), ARGV[14], tonumber(ARGV[15])
local duplicate_s = ARGV[16]
local FIRST_PAYLOAD = 17 -- result, frame, overlay, mask, regions: in the order of KEYS 2 to 6; an empty one is not there

local prefixes = {}
for key = 2, 6 do
  prefixes[key] = string.sub(KEYS[key], 1, -#frame_id - 1)
end

-- The record held under a frame id, or nil. What cannot be read is no record, and is overwritten.
local function held(id)
  local ok, record = pcall(cjson.decode, redis.call('GET', prefixes[2] .. id) or '')
  return ok and type(record) == 'table' and type(record.source) == 'table' and record or nil
end

-- The first of all writes is one that Redis refuses when it is full: nothing else has happened if it does.
if token then
  if (tonumber(redis.call('GET', KEYS[1]) or '') or -1) > token then
    return 'fenced'
  end
  redis.call('SET', KEYS[1], ARGV[1], 'EX', fence_ttl_s)
  -- Kept as long as a result: a frame that has one is never left out when it is taken again.
  local highest = math.max(tonumber(redis.call('GET', KEYS[14]) or '') or -1, offset)
  redis.call('SET', KEYS[14], string.format('%d', highest), 'EX', longest_s)
end

-- Two memories of who holds the id: the record lives as long as its retention, the marker also when trimming was faster.
local source = topic .. ':' .. ARGV[4] .. ':' .. ARGV[5]
local seen = redis.call('GET', KEYS[12])
local before = held(frame_id)
if seen and seen ~= source then
  return 'duplicate'
end
if before then
  local holder = before.source
  if holder.topic ~= topic or holder.partition ~= partition or holder.offset ~= offset then
    return 'duplicate'
  end
end
if (restore and before) or (reindex and not (before and before.pred_label == label)) then
  return 'unneeded'
end
redis.call('SET', KEYS[12], source, 'EX', duplicate_s)

for key = 2, reindex and 1 or 6 do
  local payload = ARGV[FIRST_PAYLOAD + key - 2]
  if payload ~= '' then
    redis.call('SET', KEYS[key], payload, 'EX', ttl_s)
  else
    redis.call('UNLINK', KEYS[key]) -- evidence of the verdict that is being replaced
  end
end

redis.call('ZADD', KEYS[8], captured_ms, frame_id)
redis.call('EXPIRE', KEYS[8], ttl_s)
redis.call('ZREM', KEYS[9], frame_id)
-- Numbered by arrival and trimmed in that order: a camera whose clock is years ahead must not push true results out.
local newest = redis.call('ZREVRANGE', KEYS[10], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[10], 'NX', (tonumber(newest[2]) or 0) + 1, frame_id)
redis.call('EXPIRE', KEYS[10], ttl_s)
redis.call('ZREM', KEYS[11], frame_id)
if not before and not seen then
  redis.call('XADD', KEYS[7], 'MAXLEN', '~', stream_length, '*', 'frame_id', frame_id, 'label', label, 'score', score)
end
redis.call('EXPIRE', KEYS[7], longest_s)

-- The server's clock, so that inspectors whose clocks disagree do not push each other's cameras out.
local now_s = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[13], now_s, camera_id)
redis.call('ZREMRANGEBYSCORE', KEYS[13], '-inf', now_s - longest_s)

local function forget(id)
  redis.call('ZREM', KEYS[8], id)
  redis.call('ZREM', KEYS[10], id)
end

-- First come, first gone, a bounded number a call: expired members leave the indices, those beyond the limit the store.
local excess = redis.call('ZCARD', KEYS[10]) - limit
for rank, id in ipairs(redis.call('ZRANGE', KEYS[10], 0, sweep_limit - 1)) do
  if redis.call('EXISTS', prefixes[2] .. id) == 0 then
    forget(id)
  elseif rank <= excess and id ~= frame_id then
    local record = held(id)
    -- An id whose first result expired may since be held by another camera, which must not lose it.
    if record and record.camera_id == camera_id then
      for key = 2, 6 do
        redis.call('UNLINK', prefixes[key] .. id)
      end
    end
    forget(id)
  end
end
return 'stored'
