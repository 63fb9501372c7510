# Takes the steps of the case that is named, and tells what came of each, a line of JSON a step.

require "#{ENV.fetch("CLIENTS")}/bytelog"

$stdout.sync = true
test = JSON.parse(File.read(ENV.fetch("CASES")))[ARGV[0]]
client = Bytelog::Client.new(**test.fetch("options", {}).transform_keys(&:to_sym))

calls = {
  "record" => ->(event) { client.record(**event.transform_keys(&:to_sym)) && nil },
  "record_many" => ->(events) { client.record_many(events) && nil },
  "record_copies" => ->(given) { client.record_many((0...given["copies"]).lazy.map { |id| { **given["event"], id: } }) && nil },
  "events" => ->(window) { client.events(**window.transform_keys(&:to_sym)).to_a },
  "trace" => ->(trace_id) { client.trace(trace_id).to_a },
  "query" => ->((endpoint, parameters)) { [client.query(endpoint, **parameters.transform_keys(&:to_sym))] },
  "restart" => ->(_) { $stdin.gets }
}

test["steps"].each do |step|
  puts JSON.generate(gives: calls[step["call"]].call(step["with"]))
rescue Bytelog::Error => error
  puts JSON.generate(fails: error.status, says: error.message)
end
