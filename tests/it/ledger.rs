//! `inventory ledger`: everything that ever moved a product's stock, in order, with its cause and a running balance.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use crate::support::books::{assert_refused, migrated};
use crate::support::process::run_ok;
use crate::support::site::Site;
use crate::support::{Harness, Message};

/// What an entry must say: the kind, by how much on hand and reserved changed, and the cause.
type Expected = (&'static str, i64, i64, Cause);

/// Why the stock moved.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Cause {
    Operator(&'static str),
    /// A reservation, and the message, if one caused it.
    Reservation {
        id: String,
        message: Option<String>,
        reason: Option<&'static str>,
    },
}

impl Cause {
    fn of(id: &str, message: &Message) -> Self {
        Self::Reservation { id: id.to_owned(), message: Some(message.id().to_owned()), reason: None }
    }

    fn for_the_reason(self, why: &'static str) -> Self {
        match self {
            Self::Reservation { id, message, .. } => Self::Reservation { id, message, reason: Some(why) },
            operator @ Self::Operator(_) => operator,
        }
    }

    /// For people.
    fn words(&self) -> Vec<&str> {
        match self {
            Self::Operator(name) => vec![*name],
            Self::Reservation { id, message, reason } => {
                [Some(id.as_str()), message.as_deref(), *reason].into_iter().flatten().collect()
            }
        }
    }

    fn assert_told_by(&self, entry: &Value) {
        let text = |field: &str| entry.get(field).map(|text| text.as_str().unwrap());
        let told = (text("operator"), text("reservationId"), text("messageId"), text("reason"));
        let expected = match self {
            Self::Operator(name) => (Some(*name), None, None, None),
            Self::Reservation { id, message, reason } => {
                (None, Some(id.as_str()), message.as_deref(), *reason)
            }
        };
        assert_eq!(told, expected, "{entry}");
    }
}

/// A product that went through everything, and what its ledger must say.
struct Story {
    harness: Harness,
    product: Uuid,
    expected: Vec<Expected>,
}

impl Story {
    async fn play() -> Self {
        let harness = Harness::start().await;
        let mut story = Self { harness, product: Uuid::new_v4(), expected: Vec::new() };
        story.count(20).await;
        let cart = Uuid::new_v4();
        let id = story.reserve(cart, 7).await;
        story.take_out_parts(&id).await;
        story.amend(cart, &id).await;
        story.lapse_and_consume_late(&id).await;
        story.adjust(-4).await;
        story.reserve(Uuid::new_v4(), 5).await;
        story
    }

    fn expect(&mut self, kind: &'static str, on_hand: i64, reserved: i64, cause: Cause) {
        self.expected.push((kind, on_hand, reserved, cause));
    }

    fn site(&self) -> &Site {
        self.harness.site()
    }

    async fn count(&mut self, quantity: i64) {
        let (id, quantity_text) = (self.product.to_string(), quantity.to_string());
        let set = self.site().inventory_by("nadia", &["stock", "set", &id, &quantity_text]).await;
        assert_eq!(set.code, Some(0), "{set:?}");
        self.expect("COUNTED", quantity, 0, Cause::Operator("nadia"));
    }

    async fn adjust(&mut self, delta: i64) {
        let (id, delta_text) = (self.product.to_string(), delta.to_string());
        let adjusted = self.site().inventory_by("omar", &["stock", "adjust", &id, &delta_text]).await;
        assert_eq!(adjusted.code, Some(0), "{adjusted:?}");
        self.expect("ADJUSTED", delta, 0, Cause::Operator("omar"));
    }

    async fn reserve(&mut self, cart: Uuid, units: u64) -> String {
        let reserve = Message::reserve(cart, &[(self.product, units)]).with("holdSeconds", 3600);
        let id = self.harness.outcome_of(&reserve).await.reservation();
        self.expect("RESERVED", 0, i64::try_from(units).unwrap(), Cause::of(&id, &reserve));
        id
    }

    async fn take_out_parts(&mut self, id: &str) {
        let consume = Message::consume(id).of(&[(self.product, 2)]);
        self.harness.ask(consume.clone()).await;
        self.expect("CONSUMED", -2, -2, Cause::of(id, &consume));
        let release = Message::release(id).of(&[(self.product, 1)]).with("reason", "ORDER_CANCELLED");
        self.harness.ask(release.clone()).await;
        self.expect("RELEASED", 0, -1, Cause::of(id, &release).for_the_reason("ORDER_CANCELLED"));
    }

    async fn amend(&mut self, cart: Uuid, id: &str) {
        let amend = Message::reserve(cart, &[(self.product, 3)]).with("reservationId", id);
        assert_eq!(self.harness.outcome_of(&amend).await.reservation(), id);
        self.expect("RELEASED", 0, -4, Cause::of(id, &amend).for_the_reason("SUPERSEDED"));
        self.expect("RESERVED", 0, 3, Cause::of(id, &amend));
    }

    async fn lapse_and_consume_late(&mut self, id: &str) {
        let over =
            format!("UPDATE reservation SET expires_at = clock_timestamp() WHERE reservation_id = '{id}'");
        self.site().database.execute(&over).await;
        self.harness.lapse_of(id).await;
        let lapse = Cause::Reservation { id: id.to_owned(), message: None, reason: Some("EXPIRED") };
        self.expect("RELEASED", 0, -3, lapse);
        let consume = Message::consume(id).of(&[(self.product, 2)]);
        self.harness.ask(consume.clone()).await;
        self.expect("CONSUMED_LATE", -2, 0, Cause::of(id, &consume));
    }

    /// Demands that people read of every step with its cause.
    fn assert_read_in(&self, table: &str) {
        let lines: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(lines.len(), self.expected.len(), "{table}");
        for ((kind, _, _, cause), line) in self.expected.iter().zip(lines) {
            assert_eq!(line.split_whitespace().nth(1), Some(*kind), "{line}");
            assert!(cause.words().iter().all(|word| line.contains(word)), "{cause:?} in {line}");
        }
    }

    /// Demands every step in its order, with cause and running balance.
    fn assert_told_by(&self, entries: &[Value]) {
        let (mut on_hand, mut reserved) = (0, 0);
        for ((kind, on_hand_delta, reserved_delta, cause), entry) in self.expected.iter().zip(entries) {
            on_hand += on_hand_delta;
            reserved += reserved_delta;
            let figure = |name: &str| entry[name].as_i64().unwrap();
            assert_eq!(entry["kind"], *kind, "{entry}");
            assert_eq!(
                (figure("onHandDelta"), figure("reservedDelta")),
                (*on_hand_delta, *reserved_delta),
                "{entry}"
            );
            assert_eq!((figure("onHand"), figure("reserved")), (on_hand, reserved), "{entry}");
            assert_eq!(figure("available"), on_hand - reserved, "{entry}");
            cause.assert_told_by(entry);
        }
        assert_eq!(entries.len(), self.expected.len(), "{entries:#?}");
    }
}

fn moment(entry: &Value) -> &str {
    entry["at"].as_str().unwrap()
}

#[tokio::test]
async fn every_step_is_told_with_its_cause_and_the_balance_ends_at_what_there_is() {
    let story = Story::play().await;
    let entries = story.site().ledger(story.product).await;
    story.assert_told_by(&entries);
    assert!(entries.is_sorted_by_key(moment), "{entries:#?}");
    let last = entries.last().unwrap();
    assert_eq!((&last["onHand"], &last["reserved"]), (&12.into(), &5.into()), "{last}");
    let table = story.site().told(&["ledger", &story.product.to_string()]).await;
    story.assert_read_in(&table);
    story.harness.finish().await;
}

#[tokio::test]
async fn a_part_of_it_keeps_the_balances_of_the_whole() {
    let story = Story::play().await;
    let id = story.product.to_string();
    let whole = story.site().ledger(story.product).await;
    // Both steps of the amendment are of one moment: neither end divides them.
    for (first, too_late) in [(2, 6), (6, whole.len() - 1)] {
        let (from, to) = (moment(&whole[first]), moment(&whole[too_late]));
        let part = story.site().json(&["ledger", &id, "--from", from, "--to", to]).await;
        assert_eq!((&part["from"], &part["to"]), (&from.into(), &to.into()));
        assert_eq!(part["entries"].as_array().unwrap(), &whole[first..too_late]);
    }
    let middle = moment(&whole[3]);
    let from_then_on = story.site().json(&["ledger", &id, "--from", middle]).await;
    assert_eq!(from_then_on["entries"].as_array().unwrap(), &whole[3..]);
    let until_then = story.site().json(&["ledger", &id, "--to", middle]).await;
    assert_eq!(until_then["entries"].as_array().unwrap(), &whole[..3]);
    let later = story.site().json(&["ledger", &id, "--from", "2999-01-01T00:00:00+01:00"]).await;
    assert_eq!(later["entries"], Value::Array(Vec::new()), "{later}");
    story.harness.finish().await;
}

/// The columns of the CSV form, and the fields of the JSON form.
const COLUMNS: [(&str, &str); 11] = [
    ("at", "at"),
    ("kind", "kind"),
    ("on_hand_delta", "onHandDelta"),
    ("reserved_delta", "reservedDelta"),
    ("on_hand", "onHand"),
    ("reserved", "reserved"),
    ("available", "available"),
    ("reservation_id", "reservationId"),
    ("reason", "reason"),
    ("message_id", "messageId"),
    ("operator", "operator"),
];

/// A field as a spreadsheet shows it.
fn cell(entry: &Value, field: &str) -> String {
    match entry.get(field) {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(number) => number.to_string(),
    }
}

#[tokio::test]
async fn spreadsheets_read_the_same_in_csv() {
    let mut story = Story::play().await;
    // What a sender calls a message is the sender's affair.
    let odd = Message::reserve(Uuid::new_v4(), &[(story.product, 1)]).with_id("a \"quoted\", odd id");
    story.harness.outcome_of(&odd).await.reservation();
    let entries = story.site().ledger(story.product).await;
    let csv = story.site().told(&["ledger", &story.product.to_string(), "--csv"]).await;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<HashMap<String, String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), entries.len(), "{csv}");
    for (row, entry) in rows.iter().zip(&entries) {
        assert_eq!(row["product_id"], story.product.to_string());
        for (column, field) in COLUMNS {
            assert_eq!(row[column], cell(entry, field), "{column} of {entry}");
        }
        assert_eq!(row.len(), COLUMNS.len() + 1, "{row:?}");
    }
    assert_eq!(rows.last().unwrap()["message_id"], odd.id());
    story.harness.finish().await;
}

#[tokio::test]
async fn a_product_that_nobody_knows_is_refused_with_a_way_out() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    for form in [&[][..], &["--json"], &["--csv"]] {
        let ended = site.inventory(&[&["ledger", &id][..], form].concat()).await;
        assert_refused(&ended, 1, &[&id, "not known", "inventory stock set"]);
        assert_eq!(ended.stdout, "", "{form:?}");
    }
    site.told(&["stock", "set", &id, "0"]).await;
    assert_eq!(site.ledger(id.parse().unwrap()).await.len(), 1);
}

#[tokio::test]
async fn a_range_that_is_none_is_wrong_usage() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    let (early, late) = ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
    for arguments in [
        &["--from", late, "--to", early][..],
        &["--from", early, "--to", early],
        &["--from", "yesterday"],
        &["--to", "2026-01-01"],
        &["--csv", "--json"],
    ] {
        let ended = site.inventory(&[&["ledger", &id][..], arguments].concat()).await;
        assert_refused(&ended, 2, &["--"]);
        assert_eq!(ended.stdout, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn a_ledger_that_does_not_end_at_the_stock_says_so() {
    let site = migrated().await;
    let id = Uuid::new_v4().to_string();
    site.told(&["stock", "set", &id, "8"]).await;
    site.database.execute("UPDATE stock SET on_hand = 9").await;
    let ended = site.inventory(&["ledger", &id]).await;
    assert_refused(&ended, 1, &["inventory verify"]);
    assert!(ended.stdout.contains("COUNTED"), "it is shown all the same: {ended:?}");
    // Of a part that ends earlier nothing can be said.
    run_ok(site.command(&["ledger", &id, "--to", "2999-01-01T00:00:00Z"])).await;
}
