// Send two log records, the second one compressed.
import { diag, DiagConsoleLogger } from "@opentelemetry/api";
import { CompressionAlgorithm } from "@opentelemetry/otlp-exporter-base";
import { OTLPLogExporter } from "@opentelemetry/exporter-logs-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { LoggerProvider, SimpleLogRecordProcessor } from "@opentelemetry/sdk-logs";

diag.setLogger(new DiagConsoleLogger());
const [url, key] = process.argv.slice(2);
const headers = { Authorization: `Bearer ${key}` };
const resource = resourceFromAttributes({ "service.name": "node" });

async function send(record, compression) {
  const exporter = new OTLPLogExporter({ url, headers, compression });
  const provider = new LoggerProvider({ resource, processors: [new SimpleLogRecordProcessor({ exporter })] });
  provider.getLogger("orders").emit(record);
  await provider.forceFlush();
  await provider.shutdown();
}

await send(
  {
    eventName: "order.paid",
    body: "paid",
    attributes: { "session.id": "s-1", tags: [1, "a", { b: true }] },
  },
  CompressionAlgorithm.NONE,
);
await send({ body: { n: 5 } }, CompressionAlgorithm.GZIP);
