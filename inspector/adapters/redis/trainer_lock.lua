-- The lock of the one trainer at work.
--
-- KEYS  1 lock: "TOKEN NONCE HOLDER", gone when nobody holds it, 2 counter: the last token that was given
-- ARGV  1 "take", "keep" or "leave", 2 the lock's life in ms, 3 "NONCE HOLDER" (take), or "TOKEN NONCE HOLDER" (keep, leave)
-- Returns  take: {token}, or {0, holder, ms that are left}; keep, leave: {1} if the lock was the caller's, else {0}.
local held = redis.call('GET', KEYS[1])
local verb, life_ms, who = ARGV[1], tonumber(ARGV[2]), ARGV[3]

if verb == 'take' then
  if held then
    local left_ms = redis.call('PTTL', KEYS[1])
    if left_ms < 0 or left_ms > life_ms then
      -- The server's clock was set back: a dead holder's lock would stand for as long as that.
      redis.call('PEXPIRE', KEYS[1], life_ms)
      left_ms = life_ms
    end
    -- Older releases wrote no nonce.
    return {0, string.match(held, '^%d+ %x+ (.*)$') or string.match(held, '^%d+ (.*)$') or held, left_ms}
  end
  local token = redis.call('INCR', KEYS[2])
  redis.call('SET', KEYS[1], token .. ' ' .. who, 'PX', life_ms)
  return {token}
end

-- It ran out, by a clock that was set forward or while the holder stood still, and nobody has taken it since.
local unclaimed = not held and redis.call('GET', KEYS[2]) == string.match(who, '^%d+')
if held ~= who and not unclaimed then
  return {0}
end
if verb == 'keep' then
  redis.call('SET', KEYS[1], who, 'PX', life_ms)
else
  redis.call('DEL', KEYS[1])
end
return {1}
