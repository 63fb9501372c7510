// Takes the steps of the case that is named, and tells what came of each, a line of JSON a step.

import { readFileSync } from "node:fs";
import { once } from "node:events";

const { BytelogError, Client } = await import(`${process.env.CLIENTS}/bytelog.mjs`);

const { options = {}, steps } = JSON.parse(readFileSync(process.env.CASES))[process.argv[2]];
if (options.timeout) options.timeout *= 1000;
const client = new Client(options);

async function all(events) {
  const found = [];
  for await (const event of events) found.push(event);
  return found;
}

function* copies({ copies, event }) {
  for (let id = 0; id < copies; id++) yield { ...event, id };
}

const calls = {
  record: (event) => client.record(event),
  record_many: (events) => client.recordMany(events),
  record_copies: (given) => client.recordMany(copies(given)),
  events: (window) => all(client.events(window)),
  trace: (traceId) => all(client.trace(traceId)),
  query: async ([endpoint, parameters]) => [await client.query(endpoint, parameters)],
  restart: () => once(process.stdin, "data"),
};

for (const step of steps) {
  try {
    console.log(JSON.stringify({ gives: await calls[step.call](step.with) }));
  } catch (error) {
    if (!(error instanceof BytelogError)) throw error;
    console.log(JSON.stringify({ fails: error.status ?? null, says: error.message }));
  }
}
process.stdin.destroy();
