// Log an event with each logger for Seq.
import { createRequire } from "node:module";
import { SeqTransport } from "@datalust/winston-seq";
import pino from "pino";
import { createStream } from "pino-seq";
import winston from "winston";

const [serverUrl, apiKey] = process.argv.slice(2);
const onError = (error) => console.error(error);

const stream = createStream({ serverUrl, apiKey, onError, retryDelay: 100 });
pino({ name: "shop" }, stream).info({ OrderId: 7, trace_id: "t-pino" }, "Order {OrderId} paid");
await new Promise((resolve) => stream.end(resolve));

const transport = new SeqTransport({ serverUrl, apiKey, onError });
const format = winston.format.json();
const logger = winston.createLogger({ format, transports: [transport] });
logger.info("Order {OrderId} paid", { OrderId: 8, RequestId: "r-winston" });
await transport.flush();
transport.close();

// The older transport brings an older version of winston.
const require = createRequire(createRequire(import.meta.url).resolve("winston-seq"));
const older = require("winston");
const { Seq } = require("winston-seq");
const olderTransport = new Seq({ serverUrl, apiKey });
new older.Logger({ transports: [olderTransport] }).info("Order {OrderId} paid", { OrderId: 9 });
await olderTransport.close();
