// What somebody sees who has no event yet: how to send the first one.

import { byId, copy, element } from "./elements.js";
import { follow } from "./live.js";
import { go, unfixed } from "./view.js";

const EVENT = '{"id": 1, "name": "sign_up", "trace_id": "03775690", "data": {"plan": "free"}}';

// For a terminal; `url` is where this server is, without its last slash.
const samples = (url) => ({
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
  Python: `curl -sO ${url}/clients/bytelog.py; export BYTELOG_URL=${url}
python3 - <<'END'
from bytelog import Client
Client().record(1, "sign_up", "03775690", {"plan": "free"})
END`,
  Ruby: `curl -sO ${url}/clients/bytelog.rb; export BYTELOG_URL=${url}
ruby -r ./bytelog - <<'END'
Bytelog::Client.new.record(id: 1, name: "sign_up", trace_id: "03775690", data: { plan: "free" })
END`,
});

export function show(signal, onFailure) {
  const url = new URL(".", location.href).href.slice(0, -1);
  const parts = Object.entries(samples(url)).flatMap(([name, text]) => [
    element("h3", {}, name, element("button", { class: "quiet", "aria-label": `Copy ${name}`, onclick: () => copy(text, `the ${name} lines`) }, "Copy")),
    element("pre", { tabindex: 0 }, text),
  ]);
  byId("welcome").replaceChildren(
    element("h2", {}, "No events yet"),
    element("p", {}, "Put your key into ", element("code", {}, "BYTELOG_API_KEY"), ", paste one of these, and this page notices when it arrives."),
    ...parts,
    element("p", { class: "waiting", role: "status" }, element("i"), "Waiting for an event…"),
  );
  byId("events").hidden = true;
  byId("welcome").hidden = false;
  follow([], "0", signal, { onEvents: () => go({ ...unfixed, last: "all", filters: new Map() }, { replace: true }), onState() {}, onRefused: onFailure });
}
