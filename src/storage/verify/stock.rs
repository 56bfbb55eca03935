//! Stock, counts, and what both follow from.

use super::Check;

pub(super) const CHECKS: &[Check] = &[
    Check { subject: "units on hand", sql: ON_HAND },
    Check { subject: "reserved units", sql: RESERVED },
    Check { subject: "versions", sql: VERSION },
];

/// On hand is the sum of all counts and adjustments, less all that was consumed. And each count says what was on hand
/// after it: the sum of the changes up to it exceeds that by what had been consumed by then. How much that was is known
/// exactly, but for what reservations past their retention consumed: that is known for the time of the last of these.
///
/// Both need what was consumed between the changes, which is a look at every movement: so it is one statement.
const ON_HAND: &str = "
    WITH times AS (
        SELECT product_id, array_agg(changed_at ORDER BY changed_at) AS changed_at
        FROM stock_change WHERE location = 'default' GROUP BY product_id),
    line AS (
        SELECT unnest(product_ids) AS product_id, unnest(quantities) AS quantity, moved_at
        FROM reservation_movement WHERE kind IN ('CONSUMED', 'CONSUMED_LATE')),
    consumed AS MATERIALIZED (
        SELECT product_id, 'default' AS location, coalesce(width_bucket(moved_at, changed_at), 0) + 1 AS before_change,
               sum(quantity) AS units
        FROM line LEFT JOIN times USING (product_id) GROUP BY product_id, before_change),
    derived AS (
        SELECT product_id, location, least(greatest(sum(units), -9e18), 9e18)::bigint AS on_hand
        FROM (SELECT product_id, location, quantity_delta AS units FROM stock_change
              UNION ALL SELECT product_id, location, -units FROM consumed
              UNION ALL SELECT product_id, location, -consumed FROM stock_brought_forward) AS fact
        GROUP BY product_id, location),
    numbered AS (
        SELECT *, row_number() OVER (PARTITION BY product_id, location ORDER BY change_id) AS before_change FROM stock_change),
    change AS (
        SELECT change_id, product_id, location, on_hand_after, quantity_delta, changed_at, kind,
               sum(quantity_delta) OVER so_far - sum(coalesce(units, 0)) OVER so_far AS kept,
               coalesce(brought.consumed, 0) AS brought, until,
               lag(changed_at) OVER so_far AS changed_before
        FROM numbered
        LEFT JOIN consumed USING (product_id, location, before_change)
        LEFT JOIN stock_brought_forward AS brought USING (product_id, location)
        WINDOW so_far AS (PARTITION BY product_id, location ORDER BY change_id)),
    settled AS (
        SELECT product_id, max(settled_up_to) AS change_id FROM repair WHERE settled_up_to IS NOT NULL GROUP BY product_id),
    contradiction AS (
        SELECT change.*
        FROM change LEFT JOIN settled USING (product_id)
        WHERE (settled.change_id IS NULL OR change.change_id > settled.change_id)
          AND (on_hand_after NOT BETWEEN kept - brought AND kept
               OR (coalesce(until, '-infinity') < changed_at AND on_hand_after <> kept - brought)))
    SELECT 'stock.onHand' AS \"check\", product_id, location, stock.on_hand AS booked, derived.on_hand AS derived,
           CASE WHEN stock.product_id IS NULL THEN format('the facts leave %s on hand, but there is no stock row', derived.on_hand)
                WHEN derived.product_id IS NULL THEN format('%s are on hand, but nothing tells of the product', stock.on_hand)
                ELSE format('%s are on hand, but the facts leave %s', stock.on_hand, derived.on_hand) END AS detail,
           'stock' AS mend
    FROM stock FULL JOIN derived USING (product_id, location)
    WHERE stock.on_hand IS DISTINCT FROM derived.on_hand
    UNION ALL
    SELECT * FROM (
        SELECT DISTINCT ON (product_id, location) 'stockChange.onHandAfter', product_id, location, on_hand_after,
               least(greatest(kept - brought, -9e18), 9e18)::bigint,
               format('change %s says that %s were on hand after it, but what was before leaves %s', change_id, on_hand_after,
                      kept - brought),
               'counts'
        FROM contradiction ORDER BY product_id, location, change_id) AS first
    UNION ALL
    SELECT 'stockChange.time', product_id, location, NULL, NULL,
           format('change %s was made at %s, which is %s', change_id, changed_at,
                  CASE WHEN changed_at < changed_before THEN 'before the one that it follows' ELSE 'yet to come' END),
           'byHand'
    FROM change WHERE changed_at < changed_before OR changed_at > now() + interval '1 minute'
    UNION ALL
    SELECT 'stockChange.impossible', product_id, location, quantity_delta, NULL,
           format('change %s, %s, of %s units leaves %s', change_id, kind, quantity_delta, on_hand_after), 'byHand'
    FROM change
    WHERE kind NOT IN ('COUNTED', 'ADJUSTED') OR on_hand_after NOT BETWEEN 0 AND 9007199254740991
       OR quantity_delta NOT BETWEEN -9007199254740991 AND 9007199254740991";

/// Reserved is what is open of all live holds.
const RESERVED: &str = "
    SELECT 'stock.reserved' AS \"check\", product_id, location, stock.reserved AS booked, derived.reserved AS derived,
           CASE WHEN stock.product_id IS NULL THEN format('live holds have taken %s, but the product has no stock', derived.reserved)
                ELSE format('%s are reserved, but live holds have taken %s', stock.reserved, coalesce(derived.reserved, 0))
           END AS detail,
           'stock' AS mend
    FROM stock
    FULL JOIN (
        SELECT product_id, 'default' AS location,
               least(greatest(sum(quantity - coalesce(released_units, 0) - coalesce(consumed_units, 0)), -9e18), 9e18)::bigint AS reserved
        FROM reservation,
             unnest(product_ids, quantities, released, consumed) AS item (product_id, quantity, released_units, consumed_units)
        WHERE state = 'HELD' GROUP BY product_id) AS derived USING (product_id, location)
    WHERE coalesce(stock.reserved, -1) <> coalesce(derived.reserved, 0)
      AND (stock.product_id IS NOT NULL OR derived.reserved <> 0)";

/// The version is odd exactly where something is available; and no figure is out of its range.
const VERSION: &str = "
    SELECT 'stock.version' AS \"check\", product_id, location, version AS booked, NULL::bigint AS derived,
           format('version %s is %s, but %s are available', version, CASE version % 2 WHEN 0 THEN 'even' ELSE 'odd' END,
                  on_hand - reserved) AS detail,
           'version' AS mend
    FROM stock WHERE (version % 2 <> 0) <> (on_hand > reserved)
    UNION ALL
    SELECT 'stock.impossible', product_id, location, on_hand, NULL,
           format('%s on hand and %s reserved, version %s', on_hand, reserved, version), 'byHand'
    FROM stock
    WHERE on_hand NOT BETWEEN 0 AND 9007199254740991 OR reserved NOT BETWEEN 0 AND on_hand OR version < 0
    UNION ALL
    SELECT 'stock.unknownLocation', product_id, location, on_hand, NULL, format('%s is no location', location), 'byHand'
    FROM stock WHERE location <> 'default'
    UNION ALL
    SELECT 'broughtForward.unknownProduct', product_id, location, consumed, NULL,
           format('%s units of a product without stock were brought forward', consumed), 'byHand'
    FROM stock_brought_forward AS brought
    WHERE NOT EXISTS (SELECT FROM stock WHERE stock.product_id = brought.product_id AND stock.location = brought.location)
    UNION ALL
    SELECT 'broughtForward.impossible', product_id, location, consumed, NULL,
           format('%s units were brought forward, consumed until %s', consumed, until), 'byHand'
    FROM stock_brought_forward WHERE consumed <= 0 OR until > now() + interval '1 minute'";
