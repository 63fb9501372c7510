-- Posts prepared bodies, one per line of the file in the first argument. Starts after the number of
-- lines in the second argument, and after the last line starts again at the first.
dofile(debug.getinfo(1, "S").source:match("@(.*/)") .. "report.lua")

local file, bodies

function init(args)
  file = args[1]
  bodies = io.lines(file)
  wrk.headers["Content-Type"] = "application/json"
  for _ = 1, tonumber(args[2]) do
    bodies()
  end
end

function request()
  local body = bodies()
  if not body then
    bodies = io.lines(file)
    body = bodies()
  end
  return wrk.format("POST", nil, nil, body)
end
