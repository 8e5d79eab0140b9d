-- Charges a request to its rates, one after the other, up to the first that is exceeded.
--
-- KEYS: the rates. ARGV: for each rate, the microseconds in which one unit becomes free, the units of
-- a burst, and the units of this request. Returns the microseconds to wait, 0 if none is exceeded.
--
-- A rate is one number, the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371).
-- The clock is that of Redis, so the clocks of the servers need not agree.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for at, key in ipairs(KEYS) do
  local unit = tonumber(ARGV[at * 3 - 2])
  local burst = unit * tonumber(ARGV[at * 3 - 1])
  local stored = redis.pcall('GET', key)
  local arrival = type(stored) == 'string' and tonumber(stored)
  -- A rate begins anew after what is no number, and after one that is too late for the clock, which
  -- may have been set back; one microsecond is for rounding.
  if not (arrival and arrival > now and arrival <= now + burst + 1) then
    arrival = now
  end
  arrival = arrival + unit * tonumber(ARGV[at * 3])
  if arrival - now > burst then
    return math.ceil(arrival - now - burst)
  end
  -- `tostring` would round to 14 digits.
  redis.call('SET', key, string.format('%.0f', arrival), 'PX', math.ceil((arrival - now) / 1000))
end
return 0
