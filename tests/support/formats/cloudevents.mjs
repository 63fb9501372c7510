// Send CloudEvents in each mode, each twice, and print the statuses that the server reports.
import { CloudEvent, HTTP, Mode, emitterFor, httpTransport } from "cloudevents";

const [url, key] = process.argv.slice(2);
const authorization = `Bearer ${key}`;
const base = { source: "/node", time: "2021-08-15T23:41:41.507Z" };
const events = [
  { id: "object", type: "order.paid", subject: "café 5%", data: { total: 1.5 }, extension: 5 },
  { id: "text", type: "note", data: "text" },
  { id: "bytes", type: "file", data: new Uint8Array([1, 255]), datacontenttype: "image/png" },
].map((event) => new CloudEvent({ ...base, ...event }));

for (const event of events) {
  for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
    await emitterFor(httpTransport(url), { mode })(event, { headers: { authorization } });
  }
  for (const message of [HTTP.binary(event), HTTP.structured(event)]) {
    const headers = { ...message.headers, authorization };
    if (headers["ce-subject"]) headers["ce-subject"] = encodeURIComponent(headers["ce-subject"]);
    const response = await fetch(url, { method: "POST", body: message.body, headers });
    console.log(response.status);
  }
}
