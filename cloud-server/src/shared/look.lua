-- Looks for a list, and takes the task to make it if there is none and nobody has it.
--
-- KEYS: the list, the task. ARGV: a name for the taker, the milliseconds after which another one may
-- take it, and the first bytes of a list that the caller cannot use, or nothing.
-- Returns the list, 1 if the caller has the task, 0 if another one has it.
local list = redis.pcall('GET', KEYS[1])
if type(list) == 'string' and string.sub(list, 1, 32) ~= ARGV[3] then
  return list
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 1
end
return 0
