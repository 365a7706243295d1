-- Fence older owners of a partition off, then tell how far its results reach: none of theirs can come after that.
--
-- KEYS  1 fence, 2 highest offset stored of the partition
-- ARGV  1 fencing token, 2 fence's life in s
-- Returns the offset, -1 where nothing is known. A fence that is newer than the token stays.
if (tonumber(redis.call('GET', KEYS[1]) or '') or -1) <= tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
return tonumber(redis.call('GET', KEYS[2]) or '') or -1
