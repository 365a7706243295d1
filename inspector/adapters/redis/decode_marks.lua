-- Mark the frames of one partition as being decoded, and count the deaths that met them so before.
--
-- KEYS  1 fence, 2 marks of the partition: a hash of offset -> "DEATHS TAG", the tag "-" while nobody decodes the frame
-- ARGV  1 fencing token, 2 fence's life in s, 3 marks' life in s, 4 life of the caller (start of its tags), 5 tag,
--       6 "alone": mark frames that have met deaths too, anything else: only those that have not,
--       7 "first": nothing below the first offset is anybody's business any more, 8... offsets, ascending
-- Returns "fenced", or the deaths met by each offset.
local token, life, tag, alone = tonumber(ARGV[1]), ARGV[4], ARGV[5], ARGV[6] == 'alone'

if (tonumber(redis.call('GET', KEYS[1]) or '') or -1) > token then
  return 'fenced'
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])

if ARGV[7] == 'first' then
  for _, offset in ipairs(redis.call('HKEYS', KEYS[2])) do
    if tonumber(offset) < tonumber(ARGV[8]) then
      redis.call('HDEL', KEYS[2], offset)
    end
  end
end

local deaths_of = {}
for index = 8, #ARGV do
  local offset = ARGV[index]
  local deaths, before = string.match(redis.call('HGET', KEYS[2], offset) or '', '^(%d+) (.+)$')
  deaths = tonumber(deaths) or 0
  -- A mark of another life that was never taken back: that process ended while it decoded the frame.
  if before and before ~= '-' and string.sub(before, 1, #life) ~= life then
    deaths = deaths + 1
  end
  if alone or deaths == 0 then
    redis.call('HSET', KEYS[2], offset, deaths .. ' ' .. tag)
  else
    redis.call('HSET', KEYS[2], offset, deaths .. ' -')
  end
  table.insert(deaths_of, deaths)
end
redis.call('EXPIRE', KEYS[2], ARGV[3])
return deaths_of
