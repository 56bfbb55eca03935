// Shows a product's stock, reserves one unit of it, extends the hold, shows it, and gives the unit back; with `ship` it
// leaves the house instead. Usage: npm start PRODUCT_ID [ship]
// AMQP_URL names the broker. Exits with 0 where the unit was reserved and released (or shipped), otherwise with 1.
import { randomUUID } from "node:crypto";
import amqp, { type ChannelModel, type ConsumeMessage } from "amqplib";

const AMQP_URL = process.env.AMQP_URL ?? "amqp://guest:guest@127.0.0.1:5672/%2f";
const REPLY_TO = "amq.rabbitmq.reply-to"; // direct reply-to: answers come to this channel, with no queue to declare
const [COMMANDS, QUERIES] = ["inventory.commands", "inventory.queries"];
const [ATTEMPTS, ANSWER_WITHIN_MS] = [3, 5_000];

class NoAnswer extends Error {}

async function openInventory(connection: ChannelModel) {
  const waiting = new Map<string, { resolve: (answer?: ConsumeMessage) => void; reject: (error: Error) => void }>();
  const fail = (error: Error) => waiting.forEach(({ reject }) => reject(error));
  const channel = await connection.createConfirmChannel();
  connection.on("error", fail);
  connection.on("close", (error) => fail(error ?? new Error("closed"))); // a broker that stops gives no "error"
  channel.on("error", fail);
  channel.on("return", ({ properties: p }) => waiting.get(p.messageId)?.reject(new Error("no queue took the message")));
  const onReply = (reply: ConsumeMessage | null) =>
    reply && waiting.get(reply.properties.correlationId)?.resolve(reply); // else late or repeated: not awaited any more
  await channel.consume(REPLY_TO, onReply, { noAck: true }); // must precede the first request
  // Replies are best effort. For every event bind a durable queue, ack after handling, skip repeats by messageId:
  //   await channel.assertQueue("checkout.outcomes", { durable: true, arguments: { "x-queue-type": "quorum" } });
  //   await channel.bindQueue("checkout.outcomes", "inventory.events", "inventory.*");
  //   await channel.consume("checkout.outcomes", onEvent);

  return async function request(exchange: string, routingKey: string, type: string, message: object): Promise<string> {
    const messageId = randomUUID(); // the idempotency key: the same in every attempt, so a command is applied once
    const properties = { type, messageId, correlationId: messageId, replyTo: REPLY_TO, mandatory: true,
      contentType: "application/json", persistent: exchange === COMMANDS };
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      // Rejected where the broker nacks, or no queue takes it. Then, too, the same message may be sent again.
      const reply = await new Promise<ConsumeMessage | undefined>((resolve, reject) => {
        waiting.set(messageId, { resolve, reject });
        setTimeout(() => resolve(undefined), ANSWER_WITHIN_MS).unref();
        const body = Buffer.from(JSON.stringify(message));
        channel.publish(exchange, routingKey, body, properties, (nack) => nack && reject(nack));
      }).finally(() => waiting.delete(messageId));
      if (!reply) continue;
      const answer = JSON.parse(reply.content.toString());
      const answerType: string = reply.properties.type;
      if (answerType === "Error") throw new Error(`${type}: ${answer.code} (${answer.status}), ${answer.detail}`);
      console.log(answerType, JSON.stringify(answer));
      return answerType;
    }
    throw new NoAnswer(`${type} ${messageId}: no answer in ${ATTEMPTS} attempts`);
  };
}

async function main(productId: string, ship: boolean): Promise<number> {
  const connection = await amqp.connect(AMQP_URL, { timeout: ANSWER_WITHIN_MS });
  try {
    const request = await openInventory(connection);
    await request(QUERIES, "get-stock-level", "GetStockLevel", { productId });
    const reservationId = randomUUID();
    const items = [{ productId, quantity: 1 }];
    const reserve = { cartId: randomUUID(), reservationId, holdSeconds: 600, items }; // forgotten, it lapses by itself
    const outcome = await request(COMMANDS, "reserve-inventory", "ReserveInventory", reserve).catch((error) => {
      if (!(error instanceof NoAnswer)) throw error;
      console.error(error.message); // held or not: the id is the sender's own, so the release settles it either way
    });
    if (outcome === "InventoryReserved") {
      // What a payment page would do: from now on there is half an hour to pay.
      await request(COMMANDS, "extend-hold", "ExtendHold", { reservationId, holdSeconds: 1_800 });
      await request(QUERIES, "get-reservation", "GetReservation", { reservationId });
    }
    if (outcome === "InventoryReserved" && ship)
      // Sent when the goods have left the house, and not when they are paid.
      await request(COMMANDS, "consume-inventory", "ConsumeInventory", { reservationId });
    else if (outcome !== "InventoryUnavailable")
      await request(COMMANDS, "release-inventory", "ReleaseInventory", { reservationId, reason: "CHECKOUT_FAILED" });
    return outcome === "InventoryReserved" ? 0 : 1;
  } finally {
    await connection.close().catch(() => {}); // it may be gone already
  }
}

const [productId, ship, ...more] = process.argv.slice(2);
const understood = productId && (ship === undefined || ship === "ship") && more.length === 0;
if (!understood) console.error("usage: npm start PRODUCT_ID [ship]");
const report = (error: unknown) => (console.error(String(error)), 1);
process.exitCode = understood ? await main(productId, ship === "ship").catch(report) : 1;
