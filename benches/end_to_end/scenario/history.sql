-- A service that has run for long: products, and reservations that were made and consumed, one in a hundred still held.
--
-- Written by the server itself, step by step ("-- step:"), in the database that `inventory migrate` has made. Numbers in
-- braces are put in: {products}, {reservations}, {outcomes}, and the numbers of reservations from {first} to {last}.
-- The books balance: `inventory verify` finds nothing. Every reservation takes two products, and every product is taken
-- by as many, because {products} divides {reservations}, and 200 divides {products}.

-- step: begin
CREATE SCHEMA history;

CREATE FUNCTION history.product(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5('product' || number)::uuid $$;

CREATE FUNCTION history.cart(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
$$ SELECT md5('cart' || number)::uuid $$;

CREATE FUNCTION history.message_id(number bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT convert_to(md5('message' || number)::uuid::text, 'UTF8') $$;

-- One after the other, in the last seventy days: the last tenth, whose outcomes are kept, are the last seven. To the
-- microsecond, as the service has it.
CREATE FUNCTION history.reserved_at(number bigint) RETURNS timestamptz LANGUAGE sql STABLE AS
$$ SELECT date_trunc('hour', now()) - interval '70 days 1 hour' + number * (interval '70 days' / {reservations}) $$;

-- UUIDs of version 7, such as the service makes. An expression and no more, so that PostgreSQL can put it in place.
CREATE FUNCTION history.reservation(number bigint) RETURNS uuid LANGUAGE sql STABLE AS
$$ SELECT (lpad(to_hex((extract(epoch FROM history.reserved_at(number)) * 1000)::bigint), 12, '0')
           || '7' || left(md5('reservation' || number), 3) || '8' || right(md5('reservation' || number), 15))::uuid $$;

-- Whether it is still held: one in a hundred, but not always of the same products.
CREATE FUNCTION history.is_held(number bigint) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT (number / {products} + number) % 100 = 0 $$;

-- Its two products.
CREATE FUNCTION history.products(number bigint) RETURNS uuid[] LANGUAGE sql IMMUTABLE AS
$$ SELECT ARRAY[history.product(number % {products}), history.product((number + {products} / 2) % {products})] $$;

-- Indexes are made when all is there: much faster, and more compact than years of use would leave them.
CREATE TABLE history.index AS
SELECT schemaname, indexname, indexdef FROM pg_indexes
WHERE tablename IN ('reservation', 'reservation_movement', 'command_outcome')
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname);

DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT indexname FROM history.index LOOP EXECUTE 'DROP INDEX ' || quote_ident(name); END LOOP;
END $$;

-- step: products
-- Product n is on the reservations n + k * {products} and, as the other one, on those half of {products} further.
WITH product AS (
    SELECT history.product(number) AS product_id,
           2 * (SELECT count(*) FROM generate_series(0, {reservations} / {products} - 1) AS k
                WHERE history.is_held(number + k * {products})) AS reserved
    FROM generate_series(0, {products} - 1) AS number),
counted AS (
    INSERT INTO stock_change (product_id, kind, quantity_delta, on_hand_after, changed_at)
    SELECT product_id, 'COUNTED', 1000000000, 1000000000, now() - interval '90 days' FROM product)
INSERT INTO stock (product_id, on_hand, reserved, version)
SELECT product_id, 1000000000 - 2 * {reservations} / {products} + reserved, reserved, 1 FROM product;

-- step: reservations
WITH made AS (
    INSERT INTO reservation (reservation_id, cart_id, state, product_ids, quantities, reserved_at, ended_at, reserved_by)
    SELECT history.reservation(number), history.cart(number), CASE WHEN is_held THEN 'HELD' ELSE 'CONSUMED' END,
           history.products(number), ARRAY[1, 1], reserved_at, CASE WHEN NOT is_held THEN reserved_at + interval '1 minute' END,
           history.message_id(number)
    FROM (SELECT number, history.is_held(number) AS is_held, history.reserved_at(number) AS reserved_at
          FROM generate_series({first}::bigint, {last}) AS number) AS reservation
    RETURNING reservation_id, product_ids, quantities, ended_at)
INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at, caused_by)
SELECT reservation_id, 'CONSUMED', product_ids, quantities, ended_at, convert_to(reservation_id::text, 'UTF8')
FROM made WHERE ended_at IS NOT NULL;

-- step: outcomes
-- Of the last reserves.
INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
SELECT history.message_id(number), sha256(convert_to(number::text, 'UTF8')), 'InventoryReserved',
       md5('event' || number)::uuid, history.reservation(number)::text,
       convert_to(format('{"reservationId":"%s","cartId":"%s","items":[{"productId":"%s","quantity":1},'
                         '{"productId":"%s","quantity":1}],"reservedAt":"%s"}',
                         history.reservation(number), history.cart(number), (history.products(number))[1],
                         (history.products(number))[2],
                         to_char(history.reserved_at(number) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')), 'UTF8'),
       history.reserved_at(number)
FROM generate_series(({reservations} - {outcomes})::bigint, {reservations} - 1) AS number;

-- step: indexes
DO $$
DECLARE definition text;
BEGIN
    FOR definition IN SELECT indexdef FROM history.index LOOP EXECUTE definition; END LOOP;
END $$;
DROP TABLE history.index;

-- step: vacuum
VACUUM (ANALYZE);
