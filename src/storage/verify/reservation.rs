//! Reservations that contradict themselves, and holds that should have lapsed.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check { subject: "reservations", sql: CONTRADICTIONS },
    Check { subject: "products of reservations", sql: PRODUCTS },
    Check { subject: "live holds", sql: HOLDS },
];

/// What a row says that cannot be. What no contradiction in itself shows, its movements do.
const CONTRADICTIONS: &str = "
    SELECT 'reservation.contradicts' AS \"check\", reservation_id, detail,
           CASE WHEN fault IN (6, 7, 10, 11, 12, 13) THEN 'reservation' ELSE 'byHand' END AS mend
    FROM (
        SELECT *,
            CASE
                WHEN state NOT IN ('HELD', 'RELEASED', 'CONSUMED') THEN 1
                WHEN cardinality(product_ids) <> cardinality(quantities)
                  OR cardinality(released) <> cardinality(product_ids)
                  OR cardinality(consumed) <> cardinality(product_ids) THEN 2
                WHEN array_position(product_ids, NULL) IS NOT NULL OR array_position(quantities, NULL) IS NOT NULL
                  OR NOT 0 < ALL (quantities) THEN 3
                WHEN CASE cardinality(product_ids)
                         WHEN 0 THEN false WHEN 1 THEN false WHEN 2 THEN product_ids[1] = product_ids[2]
                         ELSE (SELECT count(DISTINCT product) FROM unnest(product_ids) AS product) < cardinality(product_ids)
                     END THEN 4
                WHEN CASE WHEN cart_id IS NULL THEN state <> 'RELEASED' OR cardinality(product_ids) > 0 OR reserved_at IS NOT NULL
                          ELSE cardinality(product_ids) = 0 OR reserved_at IS NULL END THEN 5
                WHEN (state = 'HELD') <> (ended_at IS NULL) THEN 6
                WHEN ended_at < reserved_at OR ended_at > now() + interval '1 minute' THEN 7
                WHEN reserved_at > now() + interval '1 minute' THEN 8
                WHEN expires_at <= reserved_at THEN 9
                WHEN end_reason IS NOT NULL
                 AND (state <> 'RELEASED'
                      OR end_reason NOT IN ('CHECKOUT_FAILED', 'ORDER_CANCELLED', 'EXPIRED', 'SUPERSEDED', 'LAPSED')) THEN 10
                WHEN end_reason = 'LAPSED' AND (cart_id IS NULL OR expires_at IS NULL OR ended_at < expires_at) THEN 11
                WHEN released IS NULL AND consumed IS NULL THEN NULL
                WHEN EXISTS (
                         SELECT FROM unnest(quantities, released, consumed) AS item (quantity, back, gone)
                         WHERE back < 0 OR gone < 0 OR coalesce(back, 0) + coalesce(gone, 0) > quantity
                            OR (back IS NULL AND reservation.released IS NOT NULL)
                            OR (gone IS NULL AND reservation.consumed IS NOT NULL)) THEN 12
                WHEN CASE WHEN state = 'HELD' OR end_reason = 'LAPSED'
                          THEN NOT EXISTS (SELECT FROM unnest(quantities, released, consumed) AS item (quantity, back, gone)
                                           WHERE quantity > coalesce(back, 0) + coalesce(gone, 0))
                          ELSE released IS NOT NULL AND consumed IS NOT NULL
                               AND EXISTS (SELECT FROM unnest(quantities, released, consumed) AS item (quantity, back, gone)
                                           WHERE quantity <> back + gone) END THEN 13
            END AS fault
        FROM reservation) AS reservation
    CROSS JOIN LATERAL (SELECT CASE fault
        WHEN 1 THEN format('its state is %s', state)
        WHEN 2 THEN 'its items have not as many products as quantities or parts'
        WHEN 3 THEN 'an item has no product or no units'
        WHEN 4 THEN 'a product is named twice'
        WHEN 5 THEN 'it is neither a whole reservation nor a release that came before its reserve'
        WHEN 6 THEN format('it is %s, and %s', state, CASE WHEN ended_at IS NULL THEN 'has no end' ELSE 'has ended' END)
        WHEN 7 THEN format('it ended at %s, but was reserved at %s', ended_at, reserved_at)
        WHEN 8 THEN format('it was reserved at %s, which is yet to come', reserved_at)
        WHEN 9 THEN format('it lapses at %s, but was reserved at %s', expires_at, reserved_at)
        WHEN 10 THEN format('it is %s for the reason %s', state, end_reason)
        WHEN 11 THEN format('it lapsed at %s, but its time was %s', ended_at, coalesce('over at ' || expires_at, 'without an end'))
        WHEN 12 THEN 'more of an item, or less than nothing, was released and consumed than there was'
        WHEN 13 THEN CASE WHEN state = 'HELD' OR end_reason = 'LAPSED' THEN format('it is %s, but nothing of it is open', coalesce(end_reason, state))
                          ELSE format('it is %s, but something of it is open', state) END
        END AS detail) AS told
    WHERE fault IS NOT NULL";

/// Reservations of products without stock. What was consumed is seen in the units on hand; the others here.
const PRODUCTS: &str = "
    SELECT 'reservation.unknownProduct' AS \"check\", reservation_id, product_id,
           format('its product %s has no stock', product_id) AS detail, 'byHand' AS mend
    FROM (SELECT DISTINCT product_id FROM (
              SELECT unnest(product_ids) AS product_id FROM reservation WHERE state <> 'CONSUMED') AS line
          WHERE NOT EXISTS (SELECT FROM stock WHERE stock.product_id = line.product_id)) AS missing
    JOIN LATERAL (SELECT reservation_id FROM reservation WHERE product_id = ANY (product_ids)) AS reservation ON true";

/// Holds whose time is over: the service gives them back within a second, or, where very many lapse together, soon.
/// And carts that hold twice.
const HOLDS: &str = "
    SELECT 'hold.overdue' AS \"check\", reservation_id,
           format('it should have lapsed at %s', expires_at) AS detail, 'lapse' AS mend
    FROM reservation WHERE state = 'HELD' AND expires_at < now() - interval '5 seconds'
    UNION ALL
    SELECT 'hold.ofCart', reservation_id, format('cart %s has another live hold', cart_id), 'byHand'
    FROM (SELECT reservation_id, cart_id, count(*) OVER (PARTITION BY cart_id) AS holds
          FROM reservation WHERE state = 'HELD' AND cart_id IS NOT NULL) AS hold
    WHERE holds > 1";
