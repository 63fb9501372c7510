-- Without an argument, posts events like those in the API document. With the number of stored
-- traces as the argument, follows random traces.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local traces
local posted = 0

-- The same function as in database.py.
local function trace_id(number)
  return string.format("%08x", number * 2654435761 % 2 ^ 32)
end

function init(args)
  traces = tonumber(args[1])
  math.randomseed(os.time())
  wrk.headers["Content-Type"] = not traces and "application/json" or nil
end

local function follow()
  return wrk.format("GET", wrk.path .. "/trace/" .. trace_id(math.random(0, traces - 1)))
end

local function post()
  posted = posted + 1
  local body = '{"id": %d, "name": "paypal_payment", "trace_id": "%s", "data": {"client_id": "%d"}}'
  local trace = trace_id(math.floor(posted / 4))
  return wrk.format("POST", nil, nil, body:format(posted, trace, 17039485 + posted))
end

function request()
  return traces and follow() or post()
end
