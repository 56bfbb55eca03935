//! Reservations against their movements.
//!
//! Nearly all reservations are simple: held, without any movement, or ended by one movement of all items. Of these a
//! hash of what the row says must be the hash of what the movement says. The hashes are compared by the bucket, as
//! exclusive or and count, which takes one look at each table and no join of the two. Only the reservations of
//! buckets that differ, and those that are not simple, are then compared unit for unit.

use sqlx::{AssertSqlSafe, PgConnection};

use super::{Check, Finding, Row, StorageError, listed};

pub(super) const CHECKS: &[Check] = &[Check { subject: "movements", sql: CONTRADICTIONS }];

/// What a movement says that cannot be.
const CONTRADICTIONS: &str = "
    SELECT 'movement.contradicts' AS \"check\", reservation_id, format('movement %s: %s', movement_id, fault) AS detail,
           'byHand' AS mend
    FROM (
        SELECT movement_id, reservation_id,
            CASE
                WHEN kind NOT IN ('RESERVED', 'RELEASED', 'CONSUMED', 'CONSUMED_LATE') THEN format('its kind is %s', kind)
                WHEN cardinality(product_ids) = 0 OR cardinality(product_ids) <> cardinality(quantities)
                  THEN 'it has no items, or not as many products as quantities'
                WHEN array_position(product_ids, NULL) IS NOT NULL OR array_position(quantities, NULL) IS NOT NULL
                  OR NOT 0 < ALL (quantities) THEN 'an item has no product or no units'
                WHEN reason IS NOT NULL AND kind <> 'RELEASED' THEN format('%s has a reason, %s', kind, reason)
                WHEN reason NOT IN ('CHECKOUT_FAILED', 'ORDER_CANCELLED', 'EXPIRED', 'SUPERSEDED', 'LAPSED')
                  THEN format('its reason is %s', reason)
                WHEN moved_at > now() + interval '1 minute' THEN format('it was made at %s, which is yet to come', moved_at)
            END AS fault
        FROM reservation_movement) AS movement
    WHERE fault IS NOT NULL";

/// Reservations that are not told by their row and one movement alone.
const NOT_SIMPLE: &str = "(is_amended OR released IS NOT NULL OR consumed IS NOT NULL)";

/// Which of 65,536 buckets a reservation is in.
const BUCKET: &str = "(uuid_hash_extended(reservation_id, 0) & 65535)";

/// Compares; see above.
pub(super) async fn against_reservations(
    connection: &mut PgConnection,
) -> Result<Vec<(Finding, i64)>, StorageError> {
    let buckets = differing_buckets(&mut *connection).await?;
    let sql = comparison();
    let rows: Vec<Row> =
        sqlx::query_as(AssertSqlSafe(listed(&sql))).bind(buckets).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| (row.finding, row.total)).collect())
}

async fn differing_buckets(connection: &mut PgConnection) -> Result<Vec<i64>, StorageError> {
    let sql = format!(
        "SELECT bucket FROM (
             SELECT {BUCKET} AS bucket, 1 AS side,
                    hash_record_extended(ROW(reservation_id, state, end_reason, ended_at, product_ids, quantities), 0) AS hash
             FROM reservation WHERE state <> 'HELD' AND cart_id IS NOT NULL AND NOT {NOT_SIMPLE}
             UNION ALL
             SELECT {BUCKET}, -1,
                    hash_record_extended(ROW(reservation_id, kind, reason, moved_at, product_ids, quantities), 0)
             FROM reservation_movement AS movement
             WHERE NOT EXISTS (SELECT FROM reservation
                               WHERE reservation.reservation_id = movement.reservation_id AND {NOT_SIMPLE})) AS told
         GROUP BY bucket HAVING sum(side) <> 0 OR bit_xor(hash) <> 0"
    );
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection).await?)
}

/// What is left of each item, by the row and by the movements.
///
/// - What was taken less what was released and consumed in time is held.
/// - What was consumed in time and late is what the row says was consumed.
/// - What lapsed less what was consumed late is what the row of a lapsed hold leaves open.
///
/// And an end has a movement of its time, and of its reason.
fn comparison() -> String {
    let chosen = format!("({NOT_SIMPLE} OR {BUCKET} = ANY ($1::bigint[]))");
    format!(
        "WITH chosen AS MATERIALIZED (SELECT * FROM reservation WHERE {chosen}),
         step AS MATERIALIZED (
             SELECT * FROM reservation_movement WHERE {BUCKET} = ANY ($1::bigint[])
             UNION ALL
             SELECT movement.* FROM reservation_movement AS movement
             JOIN (SELECT reservation_id AS id FROM reservation
                   WHERE {NOT_SIMPLE} AND {BUCKET} <> ALL ($1::bigint[])) AS other ON id = reservation_id),
         item AS (
             SELECT reservation_id, product_id, quantity,
                    coalesce(back, CASE WHEN state = 'RELEASED' AND end_reason IS DISTINCT FROM 'LAPSED'
                                        THEN quantity - coalesce(gone, 0) ELSE 0 END) AS back,
                    coalesce(gone, CASE WHEN state = 'CONSUMED' THEN quantity - coalesce(back, 0) ELSE 0 END) AS gone
             FROM chosen, unnest(product_ids, quantities, released, consumed) AS part (product_id, quantity, back, gone)),
         moved AS (
             SELECT reservation_id, product_id,
                    coalesce(sum(quantity) FILTER (WHERE kind = 'RESERVED'), 0) AS reserved,
                    coalesce(sum(quantity) FILTER (WHERE kind = 'RELEASED'), 0) AS released,
                    coalesce(sum(quantity) FILTER (WHERE kind = 'RELEASED' AND reason = 'LAPSED'), 0) AS lapsed,
                    coalesce(sum(quantity) FILTER (WHERE kind = 'CONSUMED'), 0) AS consumed,
                    coalesce(sum(quantity) FILTER (WHERE kind = 'CONSUMED_LATE'), 0) AS late
             FROM step, unnest(product_ids, quantities) AS part (product_id, quantity)
             GROUP BY reservation_id, product_id),
         compared AS (
             SELECT reservation_id, product_id, state, chosen.reservation_id IS NULL AS is_unknown, cart_id,
                    coalesce(CASE state WHEN 'HELD' THEN quantity - back - gone ELSE 0 END, 0) AS held,
                    coalesce(CASE end_reason WHEN 'LAPSED' THEN quantity - back - gone ELSE 0 END, 0) AS open,
                    coalesce(gone, 0) AS gone,
                    coalesce(CASE WHEN is_amended THEN moved.reserved ELSE quantity END, 0) AS taken,
                    coalesce(moved.reserved, 0) AS reserved, coalesce(moved.released, 0) AS released,
                    coalesce(lapsed, 0) AS lapsed, coalesce(moved.consumed, 0) AS consumed, coalesce(late, 0) AS late,
                    is_amended
             FROM item FULL JOIN moved USING (reservation_id, product_id) LEFT JOIN chosen USING (reservation_id))
         SELECT CASE WHEN is_unknown THEN 'movement.withoutReservation' ELSE 'reservation.movements' END AS \"check\",
                reservation_id, product_id, CASE WHEN NOT is_unknown THEN held END::bigint AS booked,
                least(greatest(taken - released - consumed, -9e18), 9e18)::bigint AS derived,
                CASE WHEN is_unknown THEN 'there is no such reservation, but stock of it moved'
                     WHEN cart_id IS NULL THEN 'it was released before any reserve, but stock of it moved'
                     WHEN NOT is_amended AND reserved <> 0 THEN format('%s were taken again, but it was never amended', reserved)
                     ELSE format('%s taken, %s released (%s of them lapsed), %s consumed and %s late leave %s held, but it is %s with %s held, %s consumed and %s lapsed',
                                 taken, released, lapsed, consumed, late, taken - released - consumed, state, held, gone, open)
                END AS detail,
                CASE WHEN is_unknown OR cart_id IS NULL THEN 'byHand' ELSE 'reservation' END AS mend
         FROM compared
         WHERE is_unknown OR cart_id IS NULL OR taken - released - consumed <> held OR consumed + late <> gone
            OR lapsed - late <> open OR (NOT is_amended AND reserved <> 0)
         UNION ALL
         SELECT 'reservation.end', reservation_id, NULL, NULL, NULL,
                format('it is %s since %s%s, but no movement says so', state, ended_at, coalesce(', ' || end_reason, '')),
                'reservation'
         FROM chosen
         WHERE state <> 'HELD' AND cart_id IS NOT NULL
           AND EXISTS (SELECT FROM step WHERE step.reservation_id = chosen.reservation_id)
           AND NOT EXISTS (SELECT FROM step
                           WHERE step.reservation_id = chosen.reservation_id AND moved_at = ended_at
                             AND CASE state WHEN 'RELEASED' THEN kind = 'RELEASED' AND reason IS NOT DISTINCT FROM end_reason
                                            ELSE kind IN ('CONSUMED', 'CONSUMED_LATE') END)"
    )
}
