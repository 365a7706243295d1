-- Take marks back, each only if it is still the one that was set.
--
-- KEYS  1 marks of the partition (see decode_marks.lua)
-- ARGV  of each: offset, tag, "over" (decoded or settled: nothing is held against it) or "withdrawn" (deaths stay)
for index = 1, #ARGV, 3 do
  local offset, tag, how = ARGV[index], ARGV[index + 1], ARGV[index + 2]
  local deaths, before = string.match(redis.call('HGET', KEYS[1], offset) or '', '^(%d+) (.+)$')
  if before == tag then
    if how == 'over' or deaths == '0' then
      redis.call('HDEL', KEYS[1], offset)
    else
      redis.call('HSET', KEYS[1], offset, deaths .. ' -')
    end
  end
end
return 'done'
