// Shown while a project has no events: how to send the first one.

import { byId, copy, element } from "./elements.js";
import { follow } from "./live.js";
import { go, unfixed } from "./view.js";

const EVENT = '{"id": 1, "name": "sign_up", "trace_id": "03775690", "data": {"plan": "free"}}';

// Commands for a terminal; `url` is the address of this server without its last slash.
const buildSamples = (url) => ({
  curl: `curl -i ${url}/api/v1/events -H "Authorization: Bearer $BYTELOG_API_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '${EVENT}'`,
  Shell: `curl -sO ${url}/clients/bytelog.sh; export BYTELOG_URL=${url}
sh bytelog.sh record 1 sign_up 03775690 '{"plan": "free"}'`,
  JavaScript: `curl -sO ${url}/clients/bytelog.mjs; export BYTELOG_URL=${url}
node --input-type=module - <<'END'
import { Client } from "./bytelog.mjs";
await new Client().record({ id: 1, name: "sign_up", trace_id: "03775690", data: { plan: "free" } });
END`,
  Python: `curl -sO ${url}/clients/bytelog_client.py; export BYTELOG_URL=${url}
python3 - <<'END'
from bytelog_client import Client
Client().record(1, "sign_up", "03775690", {"plan": "free"})
END`,
  Ruby: `curl -sO ${url}/clients/bytelog.rb; export BYTELOG_URL=${url}
ruby -r ./bytelog - <<'END'
Bytelog::Client.new.record(id: 1, name: "sign_up", trace_id: "03775690", data: { plan: "free" })
END`,
});

export function show(signal, onFailure) {
  const url = new URL(".", location.href).href.slice(0, -1);
  const samples = Object.entries(buildSamples(url)).flatMap(([name, text]) => [
    element("h3", {}, name, element("button", { class: "quiet", "aria-label": `Copy ${name}`, onclick: () => copy(text, `the ${name} sample`) }, "Copy")),
    element("pre", { tabindex: 0 }, text),
  ]);
  byId("welcome").replaceChildren(
    element("h2", {}, "No events yet"),
    element("p", {}, "Set ", element("code", {}, "BYTELOG_API_KEY"), " to your key and paste one of these samples into a terminal. The event appears here as soon as it arrives."),
    ...samples,
    element("p", { class: "waiting", role: "status" }, element("i"), "Waiting for an event…"),
  );
  byId("events").hidden = true;
  byId("welcome").hidden = false;
  const onEvents = () => go({ ...unfixed, last: "all", filters: [] }, { replace: true });
  follow([], "0", signal, { onEvents, onState() {}, onRefused: onFailure });
}
