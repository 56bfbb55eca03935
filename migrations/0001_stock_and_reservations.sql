-- Stock, the facts that it follows from, reservations, outcomes of commands, and the outbox.

CREATE TABLE stock (
    product_id uuid   NOT NULL,
    location   text   NOT NULL DEFAULT 'default',
    on_hand    bigint NOT NULL,
    reserved   bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (product_id, location),
    -- The last line of defence, never the mechanism: decisions are made on locked rows. The upper bound is
    -- the largest integer that every JSON reader represents exactly.
    CONSTRAINT stock_on_hand_in_range CHECK (on_hand BETWEEN 0 AND 9007199254740991),
    CONSTRAINT stock_reserved_not_negative CHECK (reserved >= 0),
    CONSTRAINT stock_available_not_negative CHECK (on_hand - reserved >= 0)
-- Room on every page, so that the busiest updates of the service stay on it (heap-only tuples).
) WITH (fillfactor = 60);

COMMENT ON TABLE stock IS 'How much of a product there is at a location, and how much of it is reserved: the row that a reserve locks. Follows from stock_change and reservation; inventory verify checks that it does.';
COMMENT ON COLUMN stock.product_id IS 'The product, as the catalogue knows it.';
COMMENT ON COLUMN stock.location IS 'Where the stock is kept. One location so far: default.';
COMMENT ON COLUMN stock.on_hand IS 'Units that are physically there, reserved ones included.';
COMMENT ON COLUMN stock.reserved IS 'Units of on_hand that live holds have taken. Available is on_hand - reserved.';

CREATE TABLE stock_change (
    change_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id     uuid        NOT NULL,
    location       text        NOT NULL DEFAULT 'default',
    kind           text        NOT NULL,
    quantity_delta bigint      NOT NULL,
    on_hand_after  bigint      NOT NULL,
    changed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_by     text        NOT NULL DEFAULT session_user,
    CONSTRAINT stock_change_kind CHECK (kind IN ('COUNTED', 'ADJUSTED')),
    CONSTRAINT stock_change_on_hand_not_negative CHECK (on_hand_after >= 0)
);

COMMENT ON TABLE stock_change IS 'Every count and adjustment of the units on hand: written once, never changed.';
COMMENT ON COLUMN stock_change.change_id IS 'The order in which the changes of one product were made.';
COMMENT ON COLUMN stock_change.product_id IS 'The product that was counted or adjusted.';
COMMENT ON COLUMN stock_change.location IS 'Where it was.';
COMMENT ON COLUMN stock_change.kind IS 'COUNTED: somebody counted so many. ADJUSTED: so many came in or went missing.';
COMMENT ON COLUMN stock_change.quantity_delta IS 'Units by which on_hand changed; on_hand is the sum of these.';
COMMENT ON COLUMN stock_change.on_hand_after IS 'Units on hand after the change; for a count, what was counted.';
COMMENT ON COLUMN stock_change.changed_at IS 'When, by the clock of the database.';
COMMENT ON COLUMN stock_change.changed_by IS 'Who: the operator''s login name, or the database role.';

CREATE TABLE reservation (
    reservation_id uuid        PRIMARY KEY,
    cart_id        uuid,
    order_id       uuid,
    state          text        NOT NULL,
    product_ids    uuid[]      NOT NULL,
    quantities     bigint[]    NOT NULL,
    reserved_at    timestamptz,
    expires_at     timestamptz,
    ended_at       timestamptz,
    end_reason     text,
    CONSTRAINT reservation_state CHECK (state IN ('HELD', 'RELEASED', 'CONSUMED')),
    CONSTRAINT reservation_ended_unless_held CHECK ((state = 'HELD') = (ended_at IS NULL)),
    CONSTRAINT reservation_end_reason CHECK (end_reason IN ('CHECKOUT_FAILED', 'ORDER_CANCELLED', 'EXPIRED', 'SUPERSEDED')),
    CONSTRAINT reservation_items_paired CHECK (cardinality(product_ids) = cardinality(quantities)),
    CONSTRAINT reservation_quantities_positive CHECK (0 < ALL (quantities)),
    CONSTRAINT reservation_complete_or_early_release CHECK (
        CASE WHEN cart_id IS NULL THEN state = 'RELEASED' AND cardinality(product_ids) = 0 AND reserved_at IS NULL
             ELSE cardinality(product_ids) > 0 AND reserved_at IS NOT NULL END)
) WITH (fillfactor = 90);

-- One live hold a cart; also how a reserve finds the hold that its cart has.
CREATE UNIQUE INDEX reservation_live_hold_of_cart ON reservation (cart_id) WHERE state = 'HELD';

COMMENT ON TABLE reservation IS 'Who holds what, since when, until when and how it ended. Ended reservations are never changed again. A row without a cart is a release that came before its reserve: it makes a late reserve hold nothing.';
COMMENT ON COLUMN reservation.reservation_id IS 'Chosen by the sender of the reserve, or a UUIDv7 made by the service.';
COMMENT ON COLUMN reservation.cart_id IS 'The cart that holds the stock; null where the release came before any reserve.';
COMMENT ON COLUMN reservation.order_id IS 'The order, where checkout named one.';
COMMENT ON COLUMN reservation.state IS 'HELD, then RELEASED or CONSUMED; both are final.';
COMMENT ON COLUMN reservation.product_ids IS 'The products held, each once, in the order of the command.';
COMMENT ON COLUMN reservation.quantities IS 'Units held of the product at the same position in product_ids.';
COMMENT ON COLUMN reservation.reserved_at IS 'When the stock was taken, by the clock of the database.';
COMMENT ON COLUMN reservation.expires_at IS 'When the hold lapses; null where it does not.';
COMMENT ON COLUMN reservation.ended_at IS 'When the hold ended; null while it is held.';
COMMENT ON COLUMN reservation.end_reason IS 'Why it ended: the reason of the release, or SUPERSEDED by another reserve for the cart; null where the sender gave none.';
COMMENT ON INDEX reservation_live_hold_of_cart IS 'One live hold a cart (and the look-up of it).';

CREATE TABLE reservation_amendment (
    amendment_id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reservation_id       uuid        NOT NULL,
    former_product_ids   uuid[]      NOT NULL,
    former_quantities    bigint[]    NOT NULL,
    former_reserved_at   timestamptz NOT NULL,
    amended_at           timestamptz NOT NULL
);

COMMENT ON TABLE reservation_amendment IS 'What a hold consisted of before its cart changed the items under the same reservation id: written once, never changed.';
COMMENT ON COLUMN reservation_amendment.amendment_id IS 'The order in which the amendments were made.';
COMMENT ON COLUMN reservation_amendment.reservation_id IS 'The reservation that was amended.';
COMMENT ON COLUMN reservation_amendment.former_product_ids IS 'The products that were held until then.';
COMMENT ON COLUMN reservation_amendment.former_quantities IS 'Units that were held of the product at the same position.';
COMMENT ON COLUMN reservation_amendment.former_reserved_at IS 'When the former items had been taken.';
COMMENT ON COLUMN reservation_amendment.amended_at IS 'When the items were changed.';

CREATE TABLE command_outcome (
    message_id  bytea       PRIMARY KEY,
    body_hash   bytea       NOT NULL,
    outcome     text        NOT NULL,
    answer_id   uuid        NOT NULL,
    subject     text        NOT NULL,
    body        bytea       NOT NULL,
    decided_at  timestamptz NOT NULL
);

-- How the clean-up finds what is past its retention; rows arrive in this order, so it only grows at its end.
CREATE INDEX command_outcome_decided_at ON command_outcome (decided_at);

COMMENT ON TABLE command_outcome IS 'What every identified command came to, refusals too, so that a repetition is answered with the very same bytes. Dropped after the retention time.';
COMMENT ON COLUMN command_outcome.message_id IS 'The idempotency key: the AMQP message_id as it came (bytes, because an AMQP string may hold what text may not).';
COMMENT ON COLUMN command_outcome.body_hash IS 'SHA-256 of the message type and the body.';
COMMENT ON COLUMN command_outcome.outcome IS 'InventoryReserved, InventoryUnavailable, ReservationReleased, or the code of a refusal.';
COMMENT ON COLUMN command_outcome.answer_id IS 'The message_id of the event or reply that tells the outcome.';
COMMENT ON COLUMN command_outcome.subject IS 'The CloudEvents subject of the answer.';
COMMENT ON COLUMN command_outcome.body IS 'The body of the answer, byte for byte.';
COMMENT ON COLUMN command_outcome.decided_at IS 'When it was decided, by the clock of the database.';
COMMENT ON INDEX command_outcome_decided_at IS 'What is past its retention.';

CREATE TABLE outbox (
    outbox_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid        NOT NULL,
    event_type     text        NOT NULL,
    subject        text        NOT NULL,
    body           bytea       NOT NULL,
    occurred_at    timestamptz NOT NULL,
    correlation_id bytea,
    causation_id   bytea,
    traceparent    bytea,
    tracestate     bytea,
    claimed_until  timestamptz NOT NULL
-- A queue: rows live for milliseconds. Vacuum by count, or a busy hour leaves the table full of dead rows.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000);

COMMENT ON TABLE outbox IS 'Events that are promised but not yet confirmed by the broker. Normally relayed from memory and gone at once; what is left was orphaned by a crash, and any replica relays it.';
COMMENT ON COLUMN outbox.outbox_id IS 'The order in which the events were written.';
COMMENT ON COLUMN outbox.event_id IS 'The message_id of the event: the same on every redelivery.';
COMMENT ON COLUMN outbox.event_type IS 'InventoryReserved or InventoryUnavailable; decides the routing key.';
COMMENT ON COLUMN outbox.subject IS 'The CloudEvents subject.';
COMMENT ON COLUMN outbox.body IS 'The body of the event, byte for byte.';
COMMENT ON COLUMN outbox.occurred_at IS 'When it was decided, by the clock of the database.';
COMMENT ON COLUMN outbox.correlation_id IS 'What the command''s sender correlates by (bytes, because an AMQP string may hold what text may not).';
COMMENT ON COLUMN outbox.causation_id IS 'The message_id of the command.';
COMMENT ON COLUMN outbox.traceparent IS 'The W3C trace context of the command, as it came.';
COMMENT ON COLUMN outbox.tracestate IS 'The W3C trace state of the command, as it came.';
COMMENT ON COLUMN outbox.claimed_until IS 'Until then one replica sees to the row; after that any may take it over.';
