-- Parts of a hold, its lapse, the facts of how it ended, and stock that runs out and comes back.

ALTER TABLE stock ADD COLUMN version bigint NOT NULL DEFAULT 0;
UPDATE stock SET version = 1 WHERE on_hand > reserved;
ALTER TABLE stock ADD CONSTRAINT stock_version_not_negative CHECK (version >= 0);

COMMENT ON COLUMN stock.version IS 'How often available has left 0 or reached it: odd while something is available. The version of the events StockReplenished and StockDepleted.';

ALTER TABLE reservation
    ADD COLUMN released    bigint[],
    ADD COLUMN consumed    bigint[],
    ADD COLUMN reserved_by bytea,
    ADD COLUMN is_amended  boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT reservation_end_reason,
    ADD CONSTRAINT reservation_end_reason CHECK (end_reason IN ('CHECKOUT_FAILED', 'ORDER_CANCELLED', 'EXPIRED', 'SUPERSEDED', 'LAPSED')),
    ADD CONSTRAINT reservation_parts_paired CHECK (cardinality(released) = cardinality(product_ids) AND cardinality(consumed) = cardinality(product_ids));

-- What is due, in the order in which it lapses.
CREATE INDEX reservation_lapsing ON reservation (expires_at, reservation_id) WHERE state = 'HELD' AND expires_at IS NOT NULL;
-- What is past its retention, in the order in which it ended.
CREATE INDEX reservation_ended_at ON reservation (ended_at) WHERE ended_at IS NOT NULL;
-- How GetReservation finds what a cart had, and what an order has.
CREATE INDEX reservation_ended_of_cart ON reservation (cart_id) WHERE state <> 'HELD' AND cart_id IS NOT NULL;
CREATE INDEX reservation_of_order ON reservation (order_id) WHERE order_id IS NOT NULL;

COMMENT ON TABLE reservation IS 'Who holds what, since when, until when and how it ended. A row without a cart is a release that came before its reserve: it makes a late reserve hold nothing. What the items went through is told by reservation_movement.';
COMMENT ON COLUMN reservation.product_ids IS 'The products, each once, in the order of the command.';
COMMENT ON COLUMN reservation.quantities IS 'Units of the product at the same position in product_ids: held, released and consumed together.';
COMMENT ON COLUMN reservation.released IS 'Units at the same position that senders released; null where no part was: then all or none, as the state says.';
COMMENT ON COLUMN reservation.consumed IS 'Units at the same position that were consumed; null where no part was: then all or none, as the state says.';
COMMENT ON COLUMN reservation.reserved_by IS 'The message_id of the reserve; null where it had none.';
COMMENT ON COLUMN reservation.is_amended IS 'The cart changed the items under the same reservation id: what was taken and when is then told by reservation_movement, RESERVED.';
COMMENT ON COLUMN reservation.end_reason IS 'Why it ended: the reason of the release, SUPERSEDED by another reserve for the cart, LAPSED where its time was over; null where the sender gave none, or where it was consumed.';
COMMENT ON INDEX reservation_lapsing IS 'Holds in the order in which they lapse.';
COMMENT ON INDEX reservation_ended_at IS 'What is past its retention.';
COMMENT ON INDEX reservation_ended_of_cart IS 'Ended reservations of a cart.';
COMMENT ON INDEX reservation_of_order IS 'Reservations of an order.';

CREATE TABLE reservation_movement (
    movement_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reservation_id uuid        NOT NULL,
    kind           text        NOT NULL,
    reason         text,
    product_ids    uuid[]      NOT NULL,
    quantities     bigint[]    NOT NULL,
    moved_at       timestamptz NOT NULL,
    caused_by      bytea,
    CONSTRAINT reservation_movement_kind CHECK (kind IN ('RESERVED', 'RELEASED', 'CONSUMED', 'CONSUMED_LATE')),
    CONSTRAINT reservation_movement_items_paired CHECK (cardinality(product_ids) = cardinality(quantities)),
    CONSTRAINT reservation_movement_quantities_positive CHECK (0 < ALL (quantities))
);

CREATE INDEX reservation_movement_of_reservation ON reservation_movement (reservation_id);

COMMENT ON TABLE reservation_movement IS 'Every step that moved stock of a reservation after it was first taken: written once, never changed. The first taking is told by the reservation itself, unless it was amended.';
COMMENT ON COLUMN reservation_movement.movement_id IS 'The order in which the steps of one product were made: given under the lock of its stock.';
COMMENT ON COLUMN reservation_movement.reservation_id IS 'Whose stock moved.';
COMMENT ON COLUMN reservation_movement.kind IS 'RESERVED: taken (only where the reservation is amended). RELEASED: given back. CONSUMED: left the house out of what was held. CONSUMED_LATE: left the house after the hold had lapsed, out of what was available.';
COMMENT ON COLUMN reservation_movement.reason IS 'Of a release: the sender''s, SUPERSEDED or LAPSED; null where the sender gave none.';
COMMENT ON COLUMN reservation_movement.product_ids IS 'The products that moved.';
COMMENT ON COLUMN reservation_movement.quantities IS 'Units moved of the product at the same position.';
COMMENT ON COLUMN reservation_movement.moved_at IS 'When, by the clock of the database.';
COMMENT ON COLUMN reservation_movement.caused_by IS 'The message_id of the command; null where it had none, or where time was over.';
COMMENT ON INDEX reservation_movement_of_reservation IS 'What a reservation went through.';

-- What has ended so far, told the new way.
INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
SELECT reservation_id, 'RESERVED', former_product_ids, former_quantities, former_reserved_at
FROM reservation_amendment ORDER BY amendment_id;

INSERT INTO reservation_movement (reservation_id, kind, reason, product_ids, quantities, moved_at)
SELECT reservation_id, 'RELEASED', 'SUPERSEDED', former_product_ids, former_quantities, amended_at
FROM reservation_amendment ORDER BY amendment_id;

INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
SELECT reservation_id, 'RESERVED', product_ids, quantities, reserved_at
FROM reservation WHERE reservation_id IN (SELECT reservation_id FROM reservation_amendment);

INSERT INTO reservation_movement (reservation_id, kind, reason, product_ids, quantities, moved_at)
SELECT reservation_id, CASE state WHEN 'CONSUMED' THEN 'CONSUMED' ELSE 'RELEASED' END, end_reason, product_ids, quantities, ended_at
FROM reservation WHERE state <> 'HELD' AND cart_id IS NOT NULL ORDER BY ended_at;

UPDATE reservation SET is_amended = true
WHERE reservation_id IN (SELECT reservation_id FROM reservation_amendment);

DROP TABLE reservation_amendment;

CREATE TABLE stock_brought_forward (
    product_id uuid        NOT NULL,
    location   text        NOT NULL DEFAULT 'default',
    consumed   bigint      NOT NULL,
    until      timestamptz NOT NULL,
    PRIMARY KEY (product_id, location),
    CONSTRAINT stock_brought_forward_consumed_positive CHECK (consumed > 0)
);

COMMENT ON TABLE stock_brought_forward IS 'What reservations that are past their retention consumed, so that the books still balance without them.';
COMMENT ON COLUMN stock_brought_forward.product_id IS 'The product.';
COMMENT ON COLUMN stock_brought_forward.location IS 'Where it was.';
COMMENT ON COLUMN stock_brought_forward.consumed IS 'Units consumed by reservations that are not kept any more.';
COMMENT ON COLUMN stock_brought_forward.until IS 'When the last of these was consumed; from then on the ledger of the product is whole.';

CREATE TABLE repair (
    repair_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finding        text        NOT NULL,
    product_id     uuid,
    reservation_id uuid,
    detail         text        NOT NULL,
    reason         text        NOT NULL,
    settled_up_to  bigint,
    repaired_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    repaired_by    text        NOT NULL
);

COMMENT ON TABLE repair IS 'Every mend that inventory repair made: written once, never changed.';
COMMENT ON COLUMN repair.repair_id IS 'The order of the mends.';
COMMENT ON COLUMN repair.finding IS 'What inventory verify had found.';
COMMENT ON COLUMN repair.product_id IS 'The product that it was about, if any.';
COMMENT ON COLUMN repair.reservation_id IS 'The reservation that it was about, if any.';
COMMENT ON COLUMN repair.detail IS 'What was mended, and how.';
COMMENT ON COLUMN repair.reason IS 'Why, in the words of the operator.';
COMMENT ON COLUMN repair.settled_up_to IS 'Of a repair of contradictory counts: the last change_id that it settles.';
COMMENT ON COLUMN repair.repaired_at IS 'When, by the clock of the database.';
COMMENT ON COLUMN repair.repaired_by IS 'Who: the operator''s login name.';

ALTER TABLE command_outcome
    ADD COLUMN event_id   uuid,
    ADD COLUMN event_type text,
    ADD COLUMN event_body bytea;

COMMENT ON COLUMN command_outcome.outcome IS 'The type of the event that is the answer, the type of the command where it was done and answered by a reply, or the code of a refusal.';
COMMENT ON COLUMN command_outcome.event_id IS 'The message_id of the event that goes with a reply; null where the answer is the event, or where there was none.';
COMMENT ON COLUMN command_outcome.event_type IS 'The type of that event.';
COMMENT ON COLUMN command_outcome.event_body IS 'The body of that event, byte for byte.';

ALTER TABLE outbox ADD COLUMN is_ordered boolean NOT NULL DEFAULT false;
CREATE INDEX outbox_ordered ON outbox (outbox_id) WHERE is_ordered;

COMMENT ON COLUMN outbox.event_type IS 'The type of the event; decides the routing key.';
COMMENT ON COLUMN outbox.is_ordered IS 'The event is published in the order of its product, by one replica at a time, and never from memory.';
COMMENT ON INDEX outbox_ordered IS 'Events that are published in order.';

-- Everything that ever moved a product's stock. On hand and reserved of a product are the sums of these; in the order of "at" and "step"
-- they add up to what there was at any time (since until, where reservations are not kept any more). Whoever asks for one product filters
-- by product_ids as well: then PostgreSQL need not take every reservation apart.
CREATE VIEW stock_ledger AS
SELECT product_id, location, changed_at AS at, 0 AS step, change_id AS number, kind, quantity_delta AS on_hand_delta, 0::bigint AS reserved_delta,
       NULL::uuid AS reservation_id, NULL::text AS reason, NULL::bytea AS caused_by, changed_by AS operator, ARRAY[product_id] AS product_ids
FROM stock_change
UNION ALL
SELECT product_id, location, until, 1, 0::bigint, 'BROUGHT_FORWARD', -consumed, 0::bigint, NULL, 'consumed by reservations past their retention', NULL, NULL,
       ARRAY[product_id]
FROM stock_brought_forward
UNION ALL
SELECT product_id, 'default', moved_at, CASE kind WHEN 'RESERVED' THEN 3 ELSE 2 END, movement_id, kind,
       CASE WHEN kind IN ('CONSUMED', 'CONSUMED_LATE') THEN -quantity ELSE 0 END,
       CASE kind WHEN 'RESERVED' THEN quantity WHEN 'CONSUMED_LATE' THEN 0 ELSE -quantity END,
       reservation_id, reason, caused_by, NULL, product_ids
FROM reservation_movement CROSS JOIN LATERAL unnest(product_ids, quantities) AS item (product_id, quantity)
UNION ALL
SELECT product_id, 'default', reserved_at, 3, 0::bigint, 'RESERVED', 0::bigint, quantity, reservation_id, NULL, reserved_by, NULL, product_ids
FROM reservation CROSS JOIN LATERAL unnest(product_ids, quantities) AS item (product_id, quantity)
WHERE NOT is_amended
UNION ALL
SELECT product_id, 'default', repaired_at, 4, repair_id, 'REPAIRED', 0::bigint, 0::bigint, reservation_id, detail || ': ' || reason, NULL, repaired_by,
       ARRAY[product_id]
FROM repair WHERE product_id IS NOT NULL;

COMMENT ON VIEW stock_ledger IS 'Everything that ever moved a product''s stock, with its cause.';
COMMENT ON COLUMN stock_ledger.product_id IS 'The product.';
COMMENT ON COLUMN stock_ledger.location IS 'Where its stock is kept.';
COMMENT ON COLUMN stock_ledger.at IS 'When, by the clock of the database.';
COMMENT ON COLUMN stock_ledger.step IS 'What comes first of what happened at the same time: what is given back before what is taken.';
COMMENT ON COLUMN stock_ledger.number IS 'What comes first of the same step: the key of the fact.';
COMMENT ON COLUMN stock_ledger.kind IS 'COUNTED, ADJUSTED: by an operator. RESERVED, RELEASED, CONSUMED, CONSUMED_LATE: by a reservation. REPAIRED: a mend. BROUGHT_FORWARD: what reservations past their retention consumed.';
COMMENT ON COLUMN stock_ledger.on_hand_delta IS 'Units by which on hand changed.';
COMMENT ON COLUMN stock_ledger.reserved_delta IS 'Units by which reserved changed.';
COMMENT ON COLUMN stock_ledger.reservation_id IS 'Whose stock moved; null where it was no reservation''s.';
COMMENT ON COLUMN stock_ledger.reason IS 'Why, where somebody said so.';
COMMENT ON COLUMN stock_ledger.caused_by IS 'The message_id of the command that caused it; null where none did.';
COMMENT ON COLUMN stock_ledger.operator IS 'Who did it; null where no operator did.';
COMMENT ON COLUMN stock_ledger.product_ids IS 'All products of the fact that the line is from: a query of one product that asks $1 = ANY (product_ids) as well need not take every fact apart.';
