"""Show a product's stock, reserve one unit of it, extend the hold, show it, and give the unit back; with `ship` it
leaves the house instead. Usage: checkout.py PRODUCT_ID [ship]
AMQP_URL names the broker. Exits with 0 where the unit was reserved and released (or shipped), otherwise with 1."""
import json
import os
import sys
import time
import uuid

import pika
from pika.exceptions import AMQPError

AMQP_URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
REPLY_TO = "amq.rabbitmq.reply-to"  # direct reply-to: answers come to this channel, with no queue to declare
COMMANDS, QUERIES = "inventory.commands", "inventory.queries"
ATTEMPTS, ANSWER_WITHIN = 3, 5.0  # seconds


class Refused(Exception): ...  # the service answered with a problem


class Inventory:
    def __init__(self, connection):
        self.connection, self.channel = connection, connection.channel()
        self.awaited = self.answer = None
        self.channel.confirm_delivery()
        self.channel.basic_consume(REPLY_TO, self.on_reply, auto_ack=True)  # must precede the first request
        # Replies are best effort. For every event bind a durable queue, ack after handling, skip repeats by message_id:
        #   channel.queue_declare("checkout.outcomes", durable=True, arguments={"x-queue-type": "quorum"})
        #   channel.queue_bind("checkout.outcomes", "inventory.events", "inventory.*")
        #   channel.basic_consume("checkout.outcomes", on_event)

    def on_reply(self, _channel, _method, properties, body):
        if properties.correlation_id == self.awaited:  # else a late or repeated answer to an earlier request
            self.answer = properties.type, json.loads(body)

    def request(self, exchange, routing_key, message_type, message):
        message_id = str(uuid.uuid4())  # the idempotency key: the same in every attempt, so a command is applied once
        properties = pika.BasicProperties(
            type=message_type, message_id=message_id, correlation_id=message_id, reply_to=REPLY_TO,
            content_type="application/json", delivery_mode=2 if exchange == COMMANDS else 1)  # 2 = persistent
        body, self.awaited, self.answer = json.dumps(message).encode(), message_id, None
        for _ in range(ATTEMPTS):
            # Waits for the confirm; raises where there is none, or no queue. Then, too, the same may be sent again.
            self.channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)
            deadline = time.monotonic() + ANSWER_WITHIN
            while self.answer is None and (left := deadline - time.monotonic()) > 0:
                self.connection.process_data_events(time_limit=left)
            if self.answer is not None:
                answer_type, answer = self.answer
                if answer_type == "Error":
                    raise Refused(f"{message_type}: {answer['code']} ({answer['status']}), {answer['detail']}")
                print(answer_type, json.dumps(answer))
                return answer_type
        raise TimeoutError(f"{message_type} {message_id}: no answer in {ATTEMPTS} attempts")


def main(product_id, ship):
    parameters = pika.URLParameters(AMQP_URL)
    parameters.blocked_connection_timeout = ANSWER_WITHIN
    with pika.BlockingConnection(parameters) as connection:
        inventory, reservation_id, outcome = Inventory(connection), str(uuid.uuid4()), None
        inventory.request(QUERIES, "get-stock-level", "GetStockLevel", {"productId": product_id})
        reserve = {"cartId": str(uuid.uuid4()), "reservationId": reservation_id,
                   "holdSeconds": 600,  # a hold that is forgotten lapses by itself
                   "items": [{"productId": product_id, "quantity": 1}]}
        try:
            outcome = inventory.request(COMMANDS, "reserve-inventory", "ReserveInventory", reserve)
        except TimeoutError as error:  # held or not: the id is the sender's own, so the release settles it either way
            print(error, file=sys.stderr)
        if outcome == "InventoryReserved":
            # What a payment page would do: from now on there is half an hour to pay.
            extend = {"reservationId": reservation_id, "holdSeconds": 1800}
            inventory.request(COMMANDS, "extend-hold", "ExtendHold", extend)
            inventory.request(QUERIES, "get-reservation", "GetReservation", {"reservationId": reservation_id})
        if outcome == "InventoryReserved" and ship:
            # Sent when the goods have left the house, and not when they are paid.
            inventory.request(COMMANDS, "consume-inventory", "ConsumeInventory", {"reservationId": reservation_id})
        elif outcome != "InventoryUnavailable":
            release = {"reservationId": reservation_id, "reason": "CHECKOUT_FAILED"}
            inventory.request(COMMANDS, "release-inventory", "ReleaseInventory", release)
    return 0 if outcome == "InventoryReserved" else 1


if __name__ == "__main__":
    try:
        usage_is_right = len(sys.argv) == 2 or sys.argv[2:] == ["ship"]
        sys.exit(main(sys.argv[1], ship=len(sys.argv) == 3) if usage_is_right else __doc__)
    except (AMQPError, Refused, TimeoutError) as error:
        sys.exit(repr(error))
