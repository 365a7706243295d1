-- Read what there is to know of one frame, at one moment. Writes nothing.
--
-- KEYS  1 result, 2 seen, 3 good index, 4 defect index, 5 good arrivals, 6 defect arrivals (of the frame's camera)
-- ARGV  1 frame_id
-- Returns result or '', seen or '', and for good and defect each: 1 where the index holds the frame or 0, the same of the
-- arrivals, how many arrivals there are, and where the first of them came from (topic:partition:offset, or '').
local frame_id = ARGV[1]
local prefix = string.sub(KEYS[1], 1, -#frame_id - 1)
local answer = { redis.call('GET', KEYS[1]) or '', redis.call('GET', KEYS[2]) or '' }

local function origin(id)
  local ok, record = pcall(cjson.decode, id and redis.call('GET', prefix .. id) or '')
  local source = ok and type(record) == 'table' and type(record.source) == 'table' and record.source or {}
  if type(source.partition) ~= 'number' or type(source.offset) ~= 'number' then
    return ''
  end
  return string.format('%s:%d:%d', tostring(source.topic), source.partition, source.offset)
end

for kind = 0, 1 do
  local index, arrivals = KEYS[3 + kind], KEYS[5 + kind]
  answer[#answer + 1] = redis.call('ZSCORE', index, frame_id) and 1 or 0
  answer[#answer + 1] = redis.call('ZSCORE', arrivals, frame_id) and 1 or 0
  answer[#answer + 1] = redis.call('ZCARD', arrivals)
  answer[#answer + 1] = origin(redis.call('ZRANGE', arrivals, 0, 0)[1])
end
return answer
