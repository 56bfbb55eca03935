//! Stories, told row by row: what happens, and what the sender is told.
//!
//! ```text
//! stock P1 5                                          what there is at the beginning
//! reserve C1 P1x5 hold=30 -> reserved N1 C1 P1x5 …    a command, and its outcome
//! + depleted P1 v2                                    all that happened besides, where a story tells it
//! @60 sweep                                           from this second on; what has lapsed is given back
//! deliver P1 3                                        units come in
//! = P1 0/8                                            the books: 0 reserved of 8 on hand
//! ```

use std::str::FromStr;

use chrono::{DateTime, Utc};
use inventory_service::domain::{ProductId, Request, time_of};

use super::agree::{check_agreement, check_asides};
use super::names::{at, uuid};
use super::quoted::is_quoted;
use super::reference::Reference;
use super::step::Step;
use super::store::Store;
use super::told::{Told, happening_text};

/// Lets a story happen one command after another, by the reference, and with the commands of each second in
/// one batch. All three must come to what the story says.
pub fn tell(text: &str) {
    let mut telling = Telling::begin(text);
    let rows: Vec<&str> = rows(text).filter(|row| !row.starts_with("stock ")).collect();
    let mut rest = rows.as_slice();
    while let [row, after @ ..] = rest {
        let besides = after.iter().take_while(|row| row.starts_with("+ ")).count();
        telling.row(row);
        if besides > 0 {
            telling.besides(&after[..besides], row);
        }
        rest = &after[besides..];
    }
    telling.end();
}

fn rows(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|row| !row.is_empty())
}

struct Telling {
    store: Store,
    told: Vec<Told>,
    reference: Reference,
    by_reference: Vec<Told>,
    batched: Store,
    batch: Vec<Request>,
    batch_told: Vec<Told>,
    /// When the present batch begins.
    now: DateTime<Utc>,
    position: usize,
}

impl Telling {
    fn begin(text: &str) -> Self {
        let stock: Vec<(ProductId, u64)> =
            rows(text).filter_map(|row| row.strip_prefix("stock ")).map(units).collect();
        let store = Store::with_stock(stock.iter().copied());
        Self {
            batched: store.clone(),
            store,
            told: Vec::new(),
            reference: Reference::with_stock(stock),
            by_reference: Vec::new(),
            batch: Vec::new(),
            batch_told: Vec::new(),
            now: at(0),
            position: 0,
        }
    }

    fn row(&mut self, row: &str) {
        if let Some(quotation) = row.strip_prefix("= ") {
            let books = self.store.lines();
            assert!(books.iter().any(|line| is_quoted(line, quotation)), "{row} is not in {books:#?}");
            return;
        }
        let (step, expected) =
            row.split_once("->").map_or((row, None), |(step, told)| (step, Some(told.trim())));
        let step = self.time_passes(step).trim();
        if step == "sweep" {
            self.sweep();
        } else if let Some(delivery) = step.strip_prefix("deliver ") {
            self.deliver(units(delivery));
        } else {
            self.step(step, expected.unwrap_or_else(|| panic!("nobody is told anything: {row}")), row);
        }
    }

    fn time_passes<'a>(&mut self, row: &'a str) -> &'a str {
        let Some((second, step)) = row.strip_prefix('@').and_then(|row| row.split_once(' ')) else {
            return row;
        };
        self.finish_batch();
        self.now = at(second.parse().unwrap_or_else(|_| panic!("not a second: {row}")));
        step
    }

    fn step(&mut self, text: &str, expected: &str, row: &str) {
        let step = Step::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        self.position += 1;
        let now = time_of(self.batch.len(), self.now);
        let request = step.request(self.position);
        let told = self.store.transact(std::slice::from_ref(&request), now);
        assert_eq!(told[0].to_string(), expected, "{row}");
        let by_reference = self.reference.step(self.position, &step, now);
        assert_eq!(by_reference.to_string(), expected, "the reference on {row}");
        self.told.extend(told);
        self.by_reference.push(by_reference);
        self.batch.push(request);
    }

    fn besides(&self, rows: &[&str], of: &str) {
        let aside = self.told.last().map(Told::aside).unwrap_or_default();
        let texts: Vec<String> =
            aside.iter().map(|happening| format!("+ {}", happening_text(happening))).collect();
        assert_eq!(texts, rows, "besides {of}");
    }

    fn sweep(&mut self) {
        self.finish_batch();
        self.told.push(self.store.sweep(usize::MAX, self.now));
        self.batch_told.push(self.batched.sweep(usize::MAX, self.now));
    }

    fn deliver(&mut self, (product, units): (ProductId, u64)) {
        self.finish_batch();
        self.store.deliver(product, units, self.now);
        self.batched.deliver(product, units, self.now);
        self.reference.deliver(product, units);
    }

    fn finish_batch(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        self.batch_told.extend(self.batched.transact(&batch, self.now));
        self.now = time_of(batch.len(), self.now);
    }

    fn end(mut self) {
        self.sweep();
        self.reference.pass(self.now);
        assert_eq!(self.batch_told, self.told, "in batches");
        assert_eq!(self.batched, self.store, "in batches");
        self.store.check_facts();
        let agreement = check_asides(&self.told)
            .and_then(|()| check_agreement((&self.told, &self.store), (&self.by_reference, &self.reference)));
        agreement.unwrap_or_else(|error| panic!("{error}"));
    }
}

fn units(row: &str) -> (ProductId, u64) {
    let (product, units) = row.split_once(' ').unwrap_or_else(|| panic!("not units of a product: {row}"));
    (ProductId(uuid(product)), units.parse().unwrap_or_else(|_| panic!("not a number: {row}")))
}
