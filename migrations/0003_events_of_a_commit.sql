-- The events that a commit promises are one row: written, and deleted once they are published, as one.

ALTER TABLE outbox RENAME TO outbox_by_event;
ALTER INDEX outbox_pkey RENAME TO outbox_by_event_pkey;
DROP INDEX outbox_ordered;

CREATE TABLE outbox (
    outbox_id       bigint        GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    events          integer       NOT NULL,
    event_ids       uuid[]        NOT NULL,
    event_types     text[]        NOT NULL,
    subjects        text[]        NOT NULL,
    bodies          bytea[]       NOT NULL,
    occurred_at     timestamptz[] NOT NULL,
    correlation_ids bytea[],
    causation_ids   bytea[],
    traceparents    bytea[],
    tracestates     bytea[],
    is_ordered      boolean       NOT NULL DEFAULT false,
    claimed_until   timestamptz   NOT NULL,
    CONSTRAINT outbox_events_paired CHECK (
        events > 0 AND cardinality(event_ids) = events AND cardinality(event_types) = events
        AND cardinality(subjects) = events AND cardinality(bodies) = events AND cardinality(occurred_at) = events
        AND cardinality(correlation_ids) = events AND cardinality(causation_ids) = events
        AND cardinality(traceparents) = events AND cardinality(tracestates) = events)
-- A queue: rows live for milliseconds. Vacuum by count, or a busy hour leaves the table full of dead rows.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000,
        toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000,
        toast.autovacuum_vacuum_insert_scale_factor = 0, toast.autovacuum_vacuum_insert_threshold = 100000);

-- Not compressed: that would take longer than to write what is deleted in a moment.
ALTER TABLE outbox
    ALTER COLUMN event_ids SET STORAGE EXTERNAL,
    ALTER COLUMN event_types SET STORAGE EXTERNAL,
    ALTER COLUMN subjects SET STORAGE EXTERNAL,
    ALTER COLUMN bodies SET STORAGE EXTERNAL,
    ALTER COLUMN occurred_at SET STORAGE EXTERNAL,
    ALTER COLUMN correlation_ids SET STORAGE EXTERNAL,
    ALTER COLUMN causation_ids SET STORAGE EXTERNAL,
    ALTER COLUMN traceparents SET STORAGE EXTERNAL,
    ALTER COLUMN tracestates SET STORAGE EXTERNAL;

-- What is published in order is looked for by one replica, again and again.
CREATE INDEX outbox_ordered ON outbox (outbox_id) WHERE is_ordered;

INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, correlation_ids, causation_ids,
                    traceparents, tracestates, is_ordered, claimed_until)
SELECT 1, ARRAY[event_id], ARRAY[event_type], ARRAY[subject], ARRAY[body], ARRAY[occurred_at], ARRAY[correlation_id],
       ARRAY[causation_id], ARRAY[traceparent], ARRAY[tracestate], is_ordered, claimed_until
FROM outbox_by_event ORDER BY outbox_id;

DROP TABLE outbox_by_event;

COMMENT ON TABLE outbox IS 'Events that are promised but not yet confirmed by the broker, those of a commit in one row. Normally relayed from memory and gone at once; what is left was orphaned by a crash, and any replica relays it.';
COMMENT ON COLUMN outbox.outbox_id IS 'The order in which the events were written.';
COMMENT ON COLUMN outbox.events IS 'How many events these are: the length of each array.';
COMMENT ON COLUMN outbox.event_ids IS 'The message_id of each event: the same on every redelivery.';
COMMENT ON COLUMN outbox.event_types IS 'InventoryReserved and so on; decides the routing key.';
COMMENT ON COLUMN outbox.subjects IS 'The CloudEvents subjects.';
COMMENT ON COLUMN outbox.bodies IS 'The bodies of the events, byte for byte.';
COMMENT ON COLUMN outbox.occurred_at IS 'When each was decided, by the clock of the database.';
COMMENT ON COLUMN outbox.correlation_ids IS 'What the commands'' senders correlate by (bytes, because an AMQP string may hold what text may not).';
COMMENT ON COLUMN outbox.causation_ids IS 'The message_ids of the commands.';
COMMENT ON COLUMN outbox.traceparents IS 'The W3C trace contexts of the commands, as they came.';
COMMENT ON COLUMN outbox.tracestates IS 'The W3C trace states of the commands, as they came.';
COMMENT ON COLUMN outbox.is_ordered IS 'Events of stock: published in the order in which they were written, by one replica at a time.';
COMMENT ON COLUMN outbox.claimed_until IS 'Until then one replica sees to the row; after that any may take it over.';
COMMENT ON INDEX outbox_ordered IS 'Events that are published in order.';
