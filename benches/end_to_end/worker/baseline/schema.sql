-- What the plain worker keeps: the same facts as the service, one row each.

CREATE TABLE stock (
    product_id uuid   PRIMARY KEY,
    on_hand    bigint NOT NULL,
    reserved   bigint NOT NULL DEFAULT 0,
    CHECK (reserved BETWEEN 0 AND on_hand)
) WITH (fillfactor = 60);

CREATE TABLE reservation (
    reservation_id uuid        PRIMARY KEY,
    cart_id        uuid        NOT NULL,
    state          text        NOT NULL,
    product_ids    uuid[]      NOT NULL,
    quantities     bigint[]    NOT NULL,
    reserved_at    timestamptz NOT NULL
);

CREATE UNIQUE INDEX reservation_live_hold_of_cart ON reservation (cart_id) WHERE state = 'HELD';

CREATE TABLE command_outcome (
    message_id text        PRIMARY KEY,
    body_hash  bytea       NOT NULL,
    event_id   uuid        NOT NULL,
    event_type text        NOT NULL,
    body       bytea       NOT NULL,
    decided_at timestamptz NOT NULL
);

CREATE TABLE outbox (
    outbox_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id       uuid        NOT NULL,
    event_type     text        NOT NULL,
    body           bytea       NOT NULL,
    correlation_id text,
    occurred_at    timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
