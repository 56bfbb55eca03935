//! Ways to tamper with the books.

/// A way to tamper, the statements that do it, the check that must find it, and what it must name.
pub type Way = (&'static str, &'static str, &'static str, &'static str);

/// With the stock, and the counts that it follows from.
pub const STOCK: &[Way] = &[
    (
        "units on hand out of nowhere",
        "UPDATE stock SET on_hand = on_hand + 5 WHERE product_id = '{a}'",
        "stock.onHand",
        "a",
    ),
    (
        "a unit more reserved",
        "UPDATE stock SET reserved = reserved + 1 WHERE product_id = '{a}'",
        "stock.reserved",
        "a",
    ),
    ("no row", "DELETE FROM stock WHERE product_id = '{a}'", "stock.onHand", "a"),
    ("no row of what is sold out", "DELETE FROM stock WHERE product_id = '{d}'", "stock.reserved", "d"),
    (
        "a row of what nobody counted",
        "INSERT INTO stock (product_id, on_hand, version) VALUES ('{nobody}', 5, 1)",
        "stock.onHand",
        "nobody",
    ),
    (
        "stock in the attic",
        "INSERT INTO stock (product_id, location, on_hand, version) VALUES ('{a}', 'attic', 5, 1)",
        "stock.unknownLocation",
        "a",
    ),
    (
        "less than nothing on hand",
        "ALTER TABLE stock DROP CONSTRAINT stock_on_hand_in_range, DROP CONSTRAINT stock_available_not_negative;
         UPDATE stock SET on_hand = -1 WHERE product_id = '{c}'",
        "stock.impossible",
        "c",
    ),
    (
        "a version that says sold out",
        "UPDATE stock SET version = version + 1 WHERE product_id = '{a}'",
        "stock.version",
        "a",
    ),
    (
        "another adjustment than was made",
        "UPDATE stock_change SET quantity_delta = quantity_delta + 1 WHERE product_id = '{a}' AND kind = 'ADJUSTED'",
        "stock.onHand",
        "a",
    ),
    (
        "another count than was made",
        "UPDATE stock_change SET on_hand_after = on_hand_after + 1 WHERE product_id = '{a}' AND kind = 'COUNTED'",
        "stockChange.onHandAfter",
        "a",
    ),
    (
        "a count of tomorrow",
        "UPDATE stock_change SET changed_at = changed_at + interval '1 day' WHERE product_id = '{b}'",
        "stockChange.time",
        "b",
    ),
    (
        "a count of more than there can be",
        "UPDATE stock_change SET quantity_delta = 9000000000000000000 WHERE product_id = '{b}'",
        "stockChange.impossible",
        "b",
    ),
    (
        "something brought forward that was not consumed",
        "INSERT INTO stock_brought_forward (product_id, consumed, until) VALUES ('{a}', 3, now() - interval '1 day')",
        "stock.onHand",
        "a",
    ),
    (
        "something brought forward of what there is not",
        "INSERT INTO stock_brought_forward (product_id, consumed, until) VALUES ('{nobody}', 3, now())",
        "broughtForward.unknownProduct",
        "nobody",
    ),
];

/// With reservations, and what they went through.
pub const RESERVATIONS: &[Way] = &[
    (
        "a hold that is released without a movement",
        "UPDATE reservation SET state = 'RELEASED', ended_at = now() WHERE reservation_id = '{held}'",
        "reservation.movements",
        "held",
    ),
    (
        "a hold of what there is not",
        "UPDATE reservation SET product_ids[1] = '{nobody}' WHERE reservation_id = '{timed}'",
        "reservation.unknownProduct",
        "nobody",
    ),
    (
        "a hold of one product twice",
        "UPDATE reservation SET product_ids = ARRAY['{a}', '{a}']::uuid[], quantities = '{1, 3}'
         WHERE reservation_id = '{timed}'",
        "reservation.contradicts",
        "timed",
    ),
    (
        "a hold whose time is over",
        "UPDATE reservation SET reserved_at = now() - interval '2 hours', expires_at = now() - interval '1 hour'
         WHERE reservation_id = '{timed}'",
        "hold.overdue",
        "timed",
    ),
    (
        "a hold from tomorrow on",
        "UPDATE reservation SET reserved_at = now() + interval '1 day' WHERE reservation_id = '{held}'",
        "reservation.contradicts",
        "held",
    ),
    (
        "two holds of a cart",
        "DROP INDEX reservation_live_hold_of_cart;
         UPDATE reservation SET cart_id = (SELECT cart_id FROM reservation WHERE reservation_id = '{held}')
         WHERE reservation_id = '{timed}'",
        "hold.ofCart",
        "timed",
    ),
    (
        "a unit more consumed of a part",
        "UPDATE reservation SET consumed[1] = consumed[1] + 1 WHERE reservation_id = '{part}'",
        "reservation.movements",
        "part",
    ),
    (
        "more consumed than there was",
        "UPDATE reservation SET consumed[1] = quantities[1] + 1 WHERE reservation_id = '{part}'",
        "reservation.contradicts",
        "part",
    ),
    (
        "an end undone",
        "UPDATE reservation SET state = 'HELD', ended_at = NULL, end_reason = NULL WHERE reservation_id = '{released}'",
        "reservation.movements",
        "released",
    ),
    (
        "an end before the beginning",
        "UPDATE reservation SET ended_at = reserved_at - interval '1 day' WHERE reservation_id = '{released}'",
        "reservation.contradicts",
        "released",
    ),
    (
        "an end for another reason",
        "UPDATE reservation SET end_reason = 'CHECKOUT_FAILED' WHERE reservation_id = '{released}'",
        "reservation.end",
        "released",
    ),
    (
        "a lapse that is said to be a cancellation",
        "UPDATE reservation SET end_reason = 'ORDER_CANCELLED' WHERE reservation_id = '{lapsed}'",
        "reservation.movements",
        "lapsed",
    ),
    (
        "a consumed reservation that is gone",
        "DELETE FROM reservation WHERE reservation_id = '{consumed}'",
        "movement.withoutReservation",
        "consumed",
    ),
    (
        "an amendment forgotten",
        "UPDATE reservation SET is_amended = false WHERE reservation_id = '{amended}'",
        "reservation.movements",
        "amended",
    ),
    (
        "a release too few",
        "DELETE FROM reservation_movement WHERE reservation_id = '{released}'",
        "reservation.movements",
        "released",
    ),
    (
        "a late consumption too few",
        "DELETE FROM reservation_movement WHERE reservation_id = '{late}' AND kind = 'CONSUMED_LATE'",
        "reservation.movements",
        "late",
    ),
    (
        "a release that is said to be a consumption",
        "UPDATE reservation_movement SET kind = 'CONSUMED' WHERE reservation_id = '{released}'",
        "movement.contradicts",
        "released",
    ),
    (
        "a movement at another time",
        "UPDATE reservation_movement SET moved_at = moved_at + interval '1 s' WHERE reservation_id = '{released}'",
        "reservation.end",
        "released",
    ),
    (
        "a movement made up for a hold",
        "INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
         VALUES ('{timed}', 'RELEASED', ARRAY['{a}']::uuid[], '{1}', now())",
        "reservation.movements",
        "timed",
    ),
    (
        "a movement of what was never reserved",
        "INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
         VALUES ('{early}', 'RELEASED', ARRAY['{a}']::uuid[], '{1}', now())",
        "reservation.movements",
        "early",
    ),
    (
        "a movement of nobody",
        "INSERT INTO reservation_movement (reservation_id, kind, product_ids, quantities, moved_at)
         VALUES ('{nobody}', 'RELEASED', ARRAY['{a}']::uuid[], '{1}', now())",
        "movement.withoutReservation",
        "nobody",
    ),
];

/// With outcomes, and events on their way.
pub const MESSAGES: &[Way] = &[
    (
        "an outcome too few",
        "DELETE FROM command_outcome WHERE outcome = 'InventoryReserved' AND subject = '{held}'",
        "reservation.withoutOutcome",
        "held",
    ),
    (
        "an outcome too many",
        "INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at)
         SELECT 'made up', body_hash, outcome, answer_id, '{nobody}', body, now()
         FROM command_outcome WHERE outcome = 'InventoryReserved' AND subject = '{held}'",
        "outcome.withoutReservation",
        "nobody",
    ),
    (
        "an outcome with other items",
        "UPDATE command_outcome SET body = convert_to(replace(convert_from(body, 'UTF8'), '\"quantity\":4', '\"quantity\":5'), 'UTF8')
         WHERE subject = '{timed}'",
        "outcome.contradicts",
        "timed",
    ),
    (
        "an outcome for another cart",
        "UPDATE reservation SET cart_id = '{other}' WHERE reservation_id = '{held}'",
        "outcome.contradicts",
        "held",
    ),
    (
        "an outcome that fits no command",
        "UPDATE command_outcome SET body_hash = 'short' WHERE subject = '{held}'",
        "outcome.impossible",
        "held",
    ),
    (
        "an event that nobody sees to",
        "INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, claimed_until, written_at)
         VALUES (1, ARRAY['{other}'::uuid], ARRAY['InventoryReleased'], ARRAY['{held}'], ARRAY['{}'::bytea], ARRAY[now()], now(), now() - interval '2 minutes')",
        "outbox.overdue",
        "held",
    ),
    (
        "an event that one replica keeps for itself",
        "INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, claimed_until)
         VALUES (1, ARRAY['{other}'::uuid], ARRAY['InventoryReleased'], ARRAY['{held}'], ARRAY['{}'::bytea], ARRAY[now()], 'infinity')",
        "outbox.overdue",
        "held",
    ),
    (
        "an event of a type that there is not",
        "INSERT INTO outbox (events, event_ids, event_types, subjects, bodies, occurred_at, claimed_until)
         VALUES (1, ARRAY['{other}'::uuid], ARRAY['InventoryStolen'], ARRAY['{held}'], ARRAY['{}'::bytea], ARRAY[now()], now())",
        "outbox.impossible",
        "held",
    ),
];
