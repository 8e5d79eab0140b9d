-- Ends the task to make a list, and stores the list if there is one.
--
-- KEYS: the list, the task. ARGV: the name of the taker and, if the list was made, its bytes and the
-- milliseconds for which it is stored.
if ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if redis.pcall('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
end
return 0
