//! Mends what [`super::verify`] found: each finding in a transaction of its own, under the lock of its row, together with
//! a row in table `repair` that says who and why.
//!
//! What is derived follows the facts. A stock figure is changed by the difference that was found and not set to what
//! was derived: honest work goes on meanwhile, and moves both sides alike.

mod reservation;
mod stock;

use sqlx::PgConnection;
use uuid::Uuid;

use self::reservation::reservation;
use self::stock::{counts, figure, version};
use super::connections::Lease;
use super::verify::{Finding, Mend};
use super::{Database, StorageError, Transaction, advisory_lock};

/// Keeps other repairs out as long as it lives: its connection is closed then.
#[derive(Debug)]
pub struct Guard {
    _lease: Lease,
}

impl Guard {
    /// Takes the lock; nothing where somebody else is repairing.
    pub async fn take(database: &Database) -> Result<Option<Self>, StorageError> {
        let mut lease = database.lease().await?;
        let taken: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(advisory_lock::REPAIR)
            .fetch_one(lease.connection()?)
            .await?;
        Ok(taken.then_some(Self { _lease: lease }))
    }
}

/// Who repairs, and why.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// In the words of the operator.
    pub reason: &'a str,
    /// The operator's login name.
    pub by: &'a str,
}

/// What became of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mended {
    /// It is mended, in this way.
    Done(String),
    /// It is not; this is what a person can do.
    Left(String),
}

/// Mends a finding. Not for overdue holds, which the service's own code lets lapse: see [`record`].
pub async fn mend(database: &Database, finding: &Finding, order: Order<'_>) -> Result<Mended, StorageError> {
    let mut transaction = database.begin().await?;
    let mended = match (finding.mend, finding.product_id, finding.reservation_id) {
        (Mend::Stock, Some(product), _) => figure(&mut transaction, finding, product).await?,
        (Mend::Version, Some(product), _) => version(&mut transaction, product).await?,
        (Mend::Counts, Some(product), _) => return counts(transaction, finding, product, order).await,
        (Mend::Reservation, _, Some(id)) => reservation(&mut transaction, id).await?,
        (Mend::Origin, _, Some(reservation)) => origin(&mut transaction, reservation).await?,
        (Mend::Outcome, _, _) => outcome(&mut transaction, finding).await?,
        (Mend::Outbox, _, _) => outbox(&mut transaction, finding).await?,
        _ => Mended::Left(by_hand(finding).to_owned()),
    };
    match &mended {
        Mended::Done(detail) => {
            write_fact(transaction.connection()?, finding, detail, order, None).await?;
            transaction.commit().await?;
        }
        Mended::Left(_) => transaction.rollback().await?,
    }
    Ok(mended)
}

/// Writes down that a finding was mended by other means.
pub async fn record(
    database: &Database,
    finding: &Finding,
    detail: &str,
    order: Order<'_>,
) -> Result<(), StorageError> {
    let mut transaction = database.begin().await?;
    write_fact(transaction.connection()?, finding, detail, order, None).await?;
    transaction.commit().await
}

/// What a person can do about a finding that cannot be mended.
#[must_use]
pub fn by_hand(finding: &Finding) -> &'static str {
    match finding.check.as_str() {
        "reservation.unknownProduct" | "broughtForward.unknownProduct" => {
            "count the product with `inventory stock set`"
        }
        "movement.withoutReservation" => {
            "the reservation is gone, though its stock moved: restore its row from a backup, or count the product with \
             `inventory stock set`"
        }
        "hold.ofCart" => {
            "look at both with `inventory reservation show` and release one with ReleaseInventory"
        }
        "outbox.impossible" => {
            "no event can be made of this row: start the release that wrote it, or mend its type and body from the command's outcome"
        }
        "stock.impossible" | "stock.unknownLocation" => {
            "a constraint of the table must be gone: restore it, and mend the row by hand"
        }
        "stockChange.time" | "stockChange.impossible" | "broughtForward.impossible" => {
            "the fact itself is wrong: restore the row from a backup, then count the product with `inventory stock set`"
        }
        _ => {
            "the facts contradict one another: look at them with `inventory reservation show`, and restore the rows \
              from a backup"
        }
    }
}

async fn write_fact(
    connection: &mut PgConnection,
    finding: &Finding,
    detail: &str,
    order: Order<'_>,
    settled_up_to: Option<i64>,
) -> Result<(), StorageError> {
    sqlx::query(
        "INSERT INTO repair (finding, product_id, reservation_id, detail, reason, settled_up_to, repaired_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(&finding.check)
    .bind(finding.product_id)
    .bind(finding.reservation_id)
    .bind(format!("{} ({})", detail, finding.detail))
    .bind(order.reason)
    .bind(settled_up_to)
    .bind(order.by)
    .execute(connection)
    .await?;
    Ok(())
}

async fn origin(transaction: &mut Transaction, reservation: Uuid) -> Result<Mended, StorageError> {
    let connection = transaction.connection()?;
    let old: Option<Option<Vec<u8>>> =
        sqlx::query_scalar("SELECT reserved_by FROM reservation WHERE reservation_id = $1 FOR UPDATE")
            .bind(reservation)
            .fetch_optional(&mut *connection)
            .await?;
    let Some(old) = old.flatten() else {
        return Ok(Mended::Left(
            "the reservation has changed by now: run `inventory verify` again".to_owned(),
        ));
    };
    sqlx::query("UPDATE reservation SET reserved_by = NULL WHERE reservation_id = $1")
        .bind(reservation)
        .execute(connection)
        .await?;
    Ok(Mended::Done(format!("it was made by message {}, which is forgotten", String::from_utf8_lossy(&old))))
}

async fn outcome(transaction: &mut Transaction, finding: &Finding) -> Result<Mended, StorageError> {
    let Some(message_id) = &finding.message_id else { return Ok(Mended::Left(by_hand(finding).to_owned())) };
    let deleted =
        sqlx::query_as("DELETE FROM command_outcome WHERE message_id = $1 RETURNING outcome, subject")
            .bind(message_id)
            .fetch_optional(transaction.connection()?)
            .await?;
    let deleted: Option<(String, String)> = deleted;
    let message = String::from_utf8_lossy(message_id);
    let Some((outcome, subject)) = deleted else {
        return Ok(Mended::Left("the outcome is gone by now".to_owned()));
    };
    // The reservation that this command made must not wait for the outcome in vain.
    sqlx::query("UPDATE reservation SET reserved_by = NULL WHERE reserved_by = $1 AND reservation_id = $2")
        .bind(message_id)
        .bind(finding.reservation_id.or_else(|| subject.parse().ok()))
        .execute(transaction.connection()?)
        .await?;
    Ok(Mended::Done(format!("the outcome {outcome} of {subject}, message {message}, was deleted")))
}

async fn outbox(transaction: &mut Transaction, finding: &Finding) -> Result<Mended, StorageError> {
    let freed = sqlx::query("UPDATE outbox SET claimed_until = now() WHERE outbox_id = $1")
        .bind(finding.outbox_id)
        .execute(transaction.connection()?)
        .await?;
    Ok(match freed.rows_affected() {
        0 => Mended::Left("the event has left by now".to_owned()),
        _ => Mended::Done(format!(
            "row {} of the outbox may be published by any replica; if it stays, look whether the service runs and \
             RabbitMQ takes events",
            finding.outbox_id.unwrap_or_default()
        )),
    })
}
