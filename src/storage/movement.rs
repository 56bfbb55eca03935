//! Table `reservation_movement`: the facts of what became of stock that was reserved.

use sqlx::PgConnection;

use super::StorageError;
use super::column::{sparse, to_bigint};
use super::reservation::{end_reason_name, position};
use crate::domain::{Movement, MovementKind};

/// Writes facts, in this order.
pub async fn insert(connection: &mut PgConnection, movements: &[Movement]) -> Result<(), StorageError> {
    if movements.is_empty() {
        return Ok(());
    }
    let (mut product_ids, mut quantities) = (Vec::new(), Vec::new());
    let (mut first_items, mut last_items) = (Vec::new(), Vec::new());
    for movement in movements {
        first_items.push(position(product_ids.len() + 1));
        product_ids.extend(movement.items.iter().map(|item| item.product.0));
        quantities.extend(movement.items.iter().map(|item| to_bigint(item.quantity)));
        last_items.push(position(product_ids.len()));
    }
    sqlx::query(
        "INSERT INTO reservation_movement (reservation_id, kind, reason, moved_at, caused_by, product_ids, quantities)
         SELECT reservation_id, kind, reason, moved_at, caused_by, ($6::uuid[])[first_item:last_item],
                ($7::bigint[])[first_item:last_item]
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[], $5::bytea[], $8::int[], $9::int[])
              WITH ORDINALITY AS m (reservation_id, kind, reason, moved_at, caused_by, first_item, last_item,
                                    number)
         ORDER BY number",
    )
    .bind(movements.iter().map(|m| m.reservation.0).collect::<Vec<_>>())
    .bind(movements.iter().map(|m| columns(m.kind).0).collect::<Vec<_>>())
    .bind(sparse(movements.iter().map(|m| columns(m.kind).1).collect()))
    .bind(movements.iter().map(|m| m.at).collect::<Vec<_>>())
    .bind(sparse(movements.iter().map(|m| m.caused_by.as_deref()).collect()))
    .bind(product_ids)
    .bind(quantities)
    .bind(first_items)
    .bind(last_items)
    .execute(connection)
    .await?;
    Ok(())
}

fn columns(kind: MovementKind) -> (&'static str, Option<&'static str>) {
    match kind {
        MovementKind::Reserved => ("RESERVED", None),
        MovementKind::Released(reason) => ("RELEASED", reason.map(end_reason_name)),
        MovementKind::Consumed => ("CONSUMED", None),
        MovementKind::ConsumedLate => ("CONSUMED_LATE", None),
    }
}
