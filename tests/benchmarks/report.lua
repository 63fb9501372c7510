-- Prints the results of a load as JSON. The other scripts load this one.
function done(summary, latency)
  local errors = summary.errors
  local failed = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  local line = '{"requests": %d, "failed": %d, "seconds": %f, "p50": %f, "p99": %f}\n'
  local p50, p99 = latency:percentile(50), latency:percentile(99)
  io.write(line:format(summary.requests, failed, summary.duration / 1e6, p50 / 1e6, p99 / 1e6))
end
