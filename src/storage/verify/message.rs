//! Outcomes of commands, and events on their way out.

use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Check, Finding, LISTED_MAX, Mend, StorageError};
use crate::contract::EventType;

pub(super) const CHECKS: &[Check] = &[
    Check { subject: "outcomes and their reservations", sql: OUTCOMES },
    Check { subject: "what outcomes say", sql: CONTENTS },
    Check { subject: "reservations and their outcomes", sql: ORIGINS },
];

/// Outcomes that say a reservation was made. An outcome past its retention may outlive its reservation.
const OUTCOMES: &str = "
    SELECT 'outcome.withoutReservation' AS \"check\", message_id,
           format('it says that reservation %s was made, which is not there', subject) AS detail, 'outcome' AS mend
    FROM (
        SELECT message_id, subject,
               CASE WHEN subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN subject::uuid END AS named
        FROM command_outcome
        WHERE outcome = 'InventoryReserved' AND decided_at > now() - make_interval(days => {days})) AS outcome
    WHERE NOT EXISTS (SELECT FROM reservation WHERE reservation_id = named)
    UNION ALL
    SELECT 'outcome.impossible', message_id,
           format('%s of %s, decided at %s, with %s bytes and a hash of %s', outcome, subject, decided_at, octet_length(body),
                  octet_length(body_hash)),
           'outcome'
    FROM command_outcome
    WHERE octet_length(body_hash) <> 32 OR octet_length(body) = 0 OR decided_at > now() + interval '1 minute'";

/// Outcomes that say another thing than their reservation.
///
/// The body was written once, by this service, so what it must contain is looked for byte by byte: that is a fraction of
/// the work of reading it as JSON. Bodies are long: first only hashes of the places where cart, items and time are
/// written are compared, then what differs is looked at in full. OFFSET 0 keeps to the index: a hash table of all
/// reservations would be far larger than what is looked up in it.
const CONTENTS: &str = "
    WITH suspect AS MATERIALIZED (
        SELECT message_id, reservation_id
        FROM (
            SELECT message_id, subject::uuid AS named,
                   hash_record_extended(ROW(substring(body FROM position('\"cartId\":\"'::bytea IN body) + 10 FOR 36)), 0) AS cart,
                   hash_record_extended(ROW(substring(body FROM position('\"items\":['::bytea IN body)
                       FOR position('\"reservedAt\":\"'::bytea IN body) + 42 - position('\"items\":['::bytea IN body))), 0) AS contents
            FROM command_outcome
            WHERE outcome = 'InventoryReserved' AND decided_at > now() - make_interval(days => {days})
              AND subject ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
              AND position('\"reservedAt\":\"'::bytea IN body) > position('\"items\":['::bytea IN body)) AS outcome
        CROSS JOIN LATERAL (SELECT * FROM reservation WHERE reservation_id = named OFFSET 0) AS made
        WHERE cart_id IS NULL OR cart <> hash_record_extended(ROW(convert_to(cart_id::text, 'UTF8')), 0)
           OR (reserved_by = message_id AND NOT is_amended
               AND contents <> hash_record_extended(ROW(convert_to(format('\"items\":[%s],\"reservedAt\":\"%s\"',
                   (SELECT string_agg(format('{\"productId\":\"%s\",\"quantity\":%s}', product, quantity), ',' ORDER BY position)
                    FROM unnest(product_ids, quantities) WITH ORDINALITY AS item (product, quantity, position)),
                   to_char(reserved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')), 'UTF8')), 0))
        UNION ALL
        SELECT message_id, NULL
        FROM command_outcome
        WHERE outcome = 'InventoryReserved' AND decided_at > now() - make_interval(days => {days})
          AND position('\"reservedAt\":\"'::bytea IN body) <= position('\"items\":['::bytea IN body))
    SELECT 'outcome.contradicts' AS \"check\", suspect.message_id, made.reservation_id,
           CASE WHEN made.cart_id IS NULL THEN format('it says that reservation %s was made, which was released before', subject)
                ELSE format('it does not say what reservation %s says', subject) END AS detail,
           'outcome' AS mend
    FROM suspect
    CROSS JOIN LATERAL (SELECT subject, body FROM command_outcome WHERE message_id = suspect.message_id OFFSET 0) AS outcome
    LEFT JOIN LATERAL (SELECT * FROM reservation WHERE reservation_id = suspect.reservation_id OFFSET 0) AS made ON true
    WHERE cart_id IS NULL
       OR position(convert_to(format('\"cartId\":\"%s\"', cart_id), 'UTF8') IN body) = 0
       OR (reserved_by = message_id AND NOT is_amended
           AND (position(convert_to(format('\"reservedAt\":\"%s\"',
                    to_char(reserved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')), 'UTF8') IN body) = 0
                OR position(convert_to(format('\"items\":[%s]',
                    (SELECT string_agg(format('{\"productId\":\"%s\",\"quantity\":%s}', product, quantity), ',' ORDER BY position)
                     FROM unnest(product_ids, quantities) WITH ORDINALITY AS item (product, quantity, position))),
                    'UTF8') IN body) = 0))";

/// Reservations whose command should be recognized, but would not be.
const ORIGINS: &str = "
    SELECT 'reservation.withoutOutcome' AS \"check\", reservation_id, reserved_by AS message_id,
           CASE WHEN outcome.message_id IS NULL THEN 'the command that made it has no outcome'
                ELSE format('the command that made it came to %s of %s', outcome, subject) END AS detail,
           'origin' AS mend
    FROM reservation LEFT JOIN command_outcome AS outcome ON outcome.message_id = reserved_by
    WHERE reserved_by IS NOT NULL AND NOT is_amended
      AND reserved_at > now() - make_interval(days => {days}) + interval '1 hour'
      AND (outcome.message_id IS NULL OR outcome <> 'InventoryReserved' OR subject <> reservation_id::text)";

/// An event in the outbox, as far as it is looked at.
#[derive(sqlx::FromRow)]
struct Promised {
    outbox_id: i64,
    event_id: Uuid,
    event_type: String,
    subject: String,
    body: Vec<u8>,
    waiting_seconds: f64,
    early_seconds: f64,
    claimed_seconds: f64,
    is_freed: bool,
}

/// Events that do not leave, and rows that no event can be made of. Read one by one: PostgreSQL 15 cannot say
/// whether something is JSON without failing where it is not.
pub(super) async fn outbox(connection: &mut PgConnection) -> Result<Vec<(Finding, i64)>, StorageError> {
    let mut rows = sqlx::query_as::<_, Promised>(
        "SELECT outbox_id, event_id, event_type, subject, body,
                extract(epoch FROM now() - greatest(written_at, now() - interval '1 year'))::float8 AS waiting_seconds,
                extract(epoch FROM least(event.occurred_at, now() + interval '1 year') - now())::float8 AS early_seconds,
                extract(epoch FROM greatest(least(claimed_until, now() + interval '1 year'), now()) - now())::float8
                    AS claimed_seconds,
                EXISTS (SELECT FROM repair WHERE finding = 'outbox.overdue' AND repaired_at > now() - interval '1 minute'
                        AND claimed_until BETWEEN repaired_at - interval '5 seconds' AND repaired_at) AS is_freed
         FROM outbox, unnest(event_ids, event_types, subjects, bodies, occurred_at) WITH ORDINALITY
                          AS event (event_id, event_type, subject, body, occurred_at, position)
         ORDER BY outbox_id, position",
    )
    .fetch(connection);
    let (mut broken, mut late) = (Listed::default(), Listed::default());
    while let Some(row) = rows.try_next().await? {
        if let Some(detail) = row.fault() {
            broken.add(|| row.finding("outbox.impossible", detail, Mend::ByHand));
        }
        if let Some(detail) = row.delay() {
            late.add(|| row.finding("outbox.overdue", detail, Mend::Outbox));
        }
    }
    Ok(broken.counted().chain(late.counted()).collect())
}

/// Findings of one check.
#[derive(Default)]
struct Listed {
    findings: Vec<Finding>,
    total: i64,
}

impl Listed {
    fn add(&mut self, finding: impl FnOnce() -> Finding) {
        self.total += 1;
        if self.total <= LISTED_MAX {
            self.findings.push(finding());
        }
    }

    fn counted(self) -> impl Iterator<Item = (Finding, i64)> {
        let total = self.total;
        self.findings.into_iter().map(move |finding| (finding, total))
    }
}

impl Promised {
    /// Why no event can be made of it.
    fn fault(&self) -> Option<String> {
        if self.event_type.parse::<EventType>().is_err() {
            return Some(format!("{} is no type of event", self.name()));
        }
        let body: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(&self.body);
        body.err().map(|error| format!("the body of {} is no JSON object: {error}", self.name()))
    }

    /// Why it does not leave in time: an event is published within seconds, and a lease is as short. One that a
    /// repair has just set free is given a minute.
    fn delay(&self) -> Option<String> {
        let Self { waiting_seconds, early_seconds, claimed_seconds, .. } = self;
        let name = self.name();
        if *waiting_seconds > 60.0 && !self.is_freed {
            return Some(format!("{name} has been waiting for {waiting_seconds:.0} s to be published"));
        }
        if *claimed_seconds > 3600.0 {
            return Some(format!("{name} is one replica's for {claimed_seconds:.0} s to come"));
        }
        (*early_seconds > 60.0).then(|| format!("{name} happens only in {early_seconds:.0} s"))
    }

    /// What it is, and what it is about.
    fn name(&self) -> String {
        format!("{} of {}, message {},", self.event_type, self.subject, self.event_id)
    }

    fn finding(&self, check: &str, detail: String, mend: Mend) -> Finding {
        Finding {
            check: check.to_owned(),
            product_id: None,
            location: None,
            reservation_id: None,
            message_id: None,
            outbox_id: Some(self.outbox_id),
            booked: None,
            derived: None,
            detail,
            mend,
        }
    }
}
