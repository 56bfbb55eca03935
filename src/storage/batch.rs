//! What a batch of commands locks, reads and writes: in as few statements as can be, because each is a round trip in
//! which others wait for the locks.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use super::outbox::{Leaving, Promise};
use super::outcome::Record;
use super::stock::LOCATION;
use super::{StorageError, movement, outbox, outcome, reservation, stock};
use crate::domain::{Changes, ProductId, Reservation, State, StockLevel};

/// What a batch is about.
#[derive(Debug, Clone, Default)]
pub struct Keys<'a> {
    /// Reservations that are named.
    pub reservations: Vec<Uuid>,
    /// Carts, for their live holds.
    pub carts: Vec<Uuid>,
    /// Products, besides those of the reservations.
    pub products: Vec<Uuid>,
    /// Commands.
    pub message_ids: Vec<&'a [u8]>,
}

/// What there is of it.
#[derive(Debug)]
pub struct Locked {
    /// Stock of the products, and of those that the reservations may give back or take again. Locked.
    pub levels: Vec<(ProductId, StockLevel)>,
    /// Reservations. Locked.
    pub reservations: Vec<Reservation>,
    /// Commands that have an outcome already.
    pub outcomes: Vec<Record>,
    /// The time by the clock of the database, under the locks.
    pub at: DateTime<Utc>,
}

/// What a batch writes.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    /// Stock, reservations and movements.
    pub changes: &'a Changes,
    /// How commands were answered.
    pub outcomes: &'a [Record],
    /// Events that this replica publishes.
    pub events: &'a [Promise<'a>],
    /// Events that are published in order.
    pub ordered: &'a [Promise<'a>],
    /// Seconds for which `events` are this replica's.
    pub lease_seconds: u32,
    /// The time under the locks.
    pub at: DateTime<Utc>,
}

/// Reservations by id, then stock by product. New rows of a transaction that was waited for are not seen yet; whoever
/// decides without them writes the same key, and loses the race (`StorageError::Raced`).
const LOCK: &str = "
    WITH hold AS MATERIALIZED (
        SELECT reservation_id, state, end_reason, product_ids, quantities, released, consumed FROM reservation
        WHERE reservation_id = ANY ($1) OR (cart_id = ANY ($2) AND state = 'HELD')
        ORDER BY reservation_id FOR UPDATE),
    level AS MATERIALIZED (
        SELECT product_id, on_hand, reserved, version FROM stock
        WHERE location = $4 AND product_id = ANY ($3 || ARRAY(
            SELECT line.product_id
            FROM hold, unnest(product_ids, quantities, released, consumed)
                 AS line (product_id, quantity, released, consumed)
            WHERE (state = 'HELD' OR end_reason = 'LAPSED')
                AND quantity > COALESCE(line.released, 0) + COALESCE(line.consumed, 0)))
        ORDER BY product_id, location FOR UPDATE)
    SELECT level.*, hold.*, known.*, clock_timestamp() AS at,
           clock_timestamp() > statement_timestamp() + interval '20 ms' AS has_waited
    FROM (SELECT array_agg(product_id) AS product_ids, array_agg(on_hand) AS on_hand, array_agg(reserved) AS reserved,
                 array_agg(version) AS versions FROM level) AS level,
         (SELECT array_agg(reservation_id) AS reservation_ids FROM hold) AS hold,
         (SELECT array_agg(message_id) AS message_ids FROM command_outcome WHERE message_id = ANY ($5)) AS known";

/// The same once more, under the locks: sees what is new since. Whoever has locked that may be waiting for what is locked
/// here, so it is not waited for.
static LOCK_NEW: LazyLock<String> = LazyLock::new(|| LOCK.replace("FOR UPDATE", "FOR UPDATE SKIP LOCKED"));

#[derive(sqlx::FromRow)]
struct LockedRow {
    product_ids: Option<Vec<Uuid>>,
    on_hand: Option<Vec<i64>>,
    reserved: Option<Vec<i64>>,
    versions: Option<Vec<i64>>,
    reservation_ids: Option<Vec<Uuid>>,
    message_ids: Option<Vec<Vec<u8>>>,
    at: DateTime<Utc>,
    has_waited: bool,
}

/// Locks and reads.
pub async fn lock(connection: &mut PgConnection, keys: &Keys<'_>) -> Result<Locked, StorageError> {
    let mut row = lock_rows(&mut *connection, LOCK, keys).await?;
    // Otherwise a replica that has many commands for the same carts as others loses one race after another, each after such a
    // wait. After a shorter one, to try again costs no more than to look again.
    if row.has_waited {
        row = lock_rows(&mut *connection, &LOCK_NEW, keys).await?;
    }
    // Most batches are new carts, which find nothing of these.
    let reservation_ids = row.reservation_ids.unwrap_or_default();
    let reservations = if reservation_ids.is_empty() {
        Vec::new()
    } else {
        reservation::read(&mut *connection, &reservation_ids, &[], &[]).await?
    };
    let outcomes = outcome::look_up(&mut *connection, &row.message_ids.unwrap_or_default()).await?;
    let units = |column: Option<Vec<i64>>| column.unwrap_or_default().into_iter();
    let levels = row.product_ids.unwrap_or_default().into_iter().zip(units(row.on_hand));
    let levels = levels.zip(units(row.reserved)).zip(units(row.versions));
    let levels = stock::levels(
        levels.map(|(((product, on_hand), reserved), version)| (product, on_hand, reserved, version)),
    )?;
    not_outrun(connection, &keys.products, &levels, &reservations).await?;
    Ok(Locked { levels, reservations, outcomes, at: row.at })
}

async fn lock_rows(
    connection: &mut PgConnection,
    statement: &'static str,
    keys: &Keys<'_>,
) -> Result<LockedRow, StorageError> {
    let query = sqlx::query_as(statement).bind(&keys.reservations).bind(&keys.carts).bind(&keys.products);
    Ok(query.bind(LOCATION).bind(&keys.message_ids).fetch_one(connection).await?)
}

/// Fails with [`StorageError::Raced`] where stock is not locked that is asked for, or that these reservations may give back or
/// take again: while something was waited for the product was first counted, and perhaps a reservation has got it. A statement
/// sees no row that is younger than itself, and what others have locked is left out where it is looked for again.
async fn not_outrun(
    connection: &mut PgConnection,
    asked: &[Uuid],
    levels: &[(ProductId, StockLevel)],
    reservations: &[Reservation],
) -> Result<(), StorageError> {
    let missing = not_locked(asked, levels, reservations);
    if missing.is_empty() {
        return Ok(());
    }
    // There may be none: nobody has counted it, or books are broken, which hinder nobody (`verify` tells).
    let are_there = !stock::read(connection, &missing).await?.is_empty();
    if are_there { Err(StorageError::Raced("stock")) } else { Ok(()) }
}

fn not_locked(asked: &[Uuid], levels: &[(ProductId, StockLevel)], reservations: &[Reservation]) -> Vec<Uuid> {
    let locked: HashSet<Uuid> = levels.iter().map(|(product, _)| product.0).collect();
    let open = reservations.iter().flat_map(Reservation::open_products).map(|product| product.0);
    let missing: HashSet<Uuid> =
        asked.iter().copied().chain(open).filter(|product| !locked.contains(product)).collect();
    missing.into_iter().collect()
}

/// What a batch changes that makes no reservation and answers no command, such as one of lapses: whoever writes it needs no
/// right to do either.
static CHANGE: LazyLock<String> = LazyLock::new(|| [LEVEL, outbox::INSERT].concat());

/// What any batch writes.
static WRITE: LazyLock<String> = LazyLock::new(|| [LEVEL, HOLD_AND_OUTCOME, outbox::INSERT].concat());

const LEVEL: &str = "
    WITH level AS (
        UPDATE stock SET on_hand = changed.on_hand, reserved = changed.reserved, version = changed.version
        FROM unnest($12::uuid[], $13::bigint[], $14::bigint[], $15::bigint[])
             AS changed (product_id, on_hand, reserved, version)
        WHERE stock.product_id = changed.product_id AND stock.location = $16)";

/// Outcomes are not written with ON CONFLICT DO NOTHING: that looks every key up twice and writes every row twice, for
/// the sake of a race that is rarely lost.
const HOLD_AND_OUTCOME: &str = ",
    hold AS (
        INSERT INTO reservation (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                                 reserved_by, is_amended, product_ids, quantities, released, consumed)
        SELECT reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason, reserved_by,
               is_amended, ($27::uuid[])[first_item:last_item], ($28::bigint[])[first_item:last_item],
               CASE WHEN has_parts THEN ($29::bigint[])[first_item:last_item] END,
               CASE WHEN has_parts THEN ($30::bigint[])[first_item:last_item] END
        FROM unnest($17::uuid[], $18::uuid[], $19::uuid[], $20::text[], $21::timestamptz[], $22::timestamptz[],
                    $23::timestamptz[], $24::text[], $25::bytea[], $26::boolean[], $31::int[], $32::int[],
                    $33::boolean[])
             AS new (reservation_id, cart_id, order_id, state, reserved_at, expires_at, ended_at, end_reason,
                     reserved_by, is_amended, first_item, last_item, has_parts)),
    outcome AS (
        INSERT INTO command_outcome (message_id, body_hash, outcome, answer_id, subject, body, decided_at, event_id,
                                     event_type, event_body)
        SELECT * FROM unnest($34::bytea[], $35::bytea[], $36::text[], $37::uuid[], $38::text[], $39::bytea[],
                             $40::timestamptz[], $41::uuid[], $42::text[], $43::bytea[]))";

/// Writes what was decided under the locks. Fails with [`StorageError::Raced`] where another transaction has just
/// decided one of these commands, or made a hold for one of these carts. Gives the keys of the outbox's rows with
/// `events`.
pub async fn write(connection: &mut PgConnection, entries: Entries<'_>) -> Result<Vec<i64>, StorageError> {
    let Entries { changes, outcomes, events, ordered, lease_seconds, at } = entries;
    // Ended holds first: a cart's next hold must find the place free.
    reservation::update(&mut *connection, &changes.updated).await?;
    let (inserted, ended) = live_first(&changes.inserted);
    let leaving = Leaving::Ours { lease_seconds };
    let (row, rest) = events.split_at(events.len().min(leaving.events_a_row()));
    let makes_none = inserted.is_empty() && outcomes.is_empty();
    let statement = if makes_none { &CHANGE } else { &WRITE };
    let query = outbox::bind(sqlx::query(AssertSqlSafe(statement.as_str())), row, leaving);
    let mut query = stock::bind(query, &changes.stock).bind(LOCATION);
    if !makes_none {
        query = outcome::bind(reservation::bind(query, &inserted), outcomes);
    }
    let key = query.fetch_optional(&mut *connection).await?.map(|row| row.try_get(0)).transpose()?;
    reservation::update(&mut *connection, &ended).await?;
    reservation::none_ended_since(&mut *connection, at, changes).await?;
    movement::insert(&mut *connection, &changes.movements).await?;
    outbox::insert(&mut *connection, ordered, Leaving::InOrder).await?;
    let more = outbox::insert(connection, rest, leaving).await?;
    Ok(key.into_iter().chain(more).collect())
}

/// Reservations to insert, and those of them to end afterwards. Only live holds have the key by which two transactions
/// meet that make a hold for one cart: of a cart whose holds were all made and ended in this batch, one goes in alive.
fn live_first(new: &[Reservation]) -> (Cow<'_, [Reservation]>, Vec<Reservation>) {
    let cart = |reservation: &Reservation| reservation.hold.as_ref().map(|hold| hold.cart);
    let is_live = |reservation: &&Reservation| reservation.state == State::Held;
    let mut met: HashSet<_> = new.iter().filter(is_live).filter_map(cart).collect();
    let (mut inserted, mut ended) = (Cow::Borrowed(new), Vec::new());
    for (position, reservation) in new.iter().enumerate() {
        if cart(reservation).is_some_and(|cart| met.insert(cart)) {
            inserted.to_mut()[position].state = State::Held;
            ended.push(reservation.clone());
        }
    }
    (inserted, ended)
}
