//! What happens to the books, moment by moment.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use inventory_service::domain::{ProductId, Request, time_of};

use super::names::{at, name};
use super::quoted::exact;
use super::reference::Reference;
use super::step::Step;
use super::store::Store;
use super::told::Told;

/// Stock, and what happens.
#[derive(Clone)]
pub struct History {
    pub stock: Vec<(ProductId, u64)>,
    pub moments: Vec<Moment>,
}

/// Seconds pass, units come in, somebody sweeps; and then commands that may be one batch.
#[derive(Clone)]
pub struct Moment {
    pub wait: i64,
    pub delivery: Option<(ProductId, u64)>,
    /// So many holds at once.
    pub sweep: Option<usize>,
    pub steps: Vec<Step>,
}

/// A moment with its time, and the position of its first command.
pub struct Timed<'a> {
    pub moment: &'a Moment,
    pub now: DateTime<Utc>,
    pub position: usize,
}

impl Timed<'_> {
    fn requests(&self) -> Vec<Request> {
        let steps = self.moment.steps.iter().enumerate();
        steps.map(|(index, step)| step.request(self.position + index)).collect()
    }
}

impl History {
    pub fn commands(&self) -> usize {
        self.moments.iter().map(|moment| moment.steps.len()).sum()
    }

    pub fn timed(&self) -> Vec<Timed<'_>> {
        let (mut second, mut now, mut position) = (0, at(0), 1);
        let mut timed = Vec::new();
        for moment in &self.moments {
            second += moment.wait;
            now = at(second).max(now);
            timed.push(Timed { moment, now, position });
            now = time_of(moment.steps.len(), now);
            position += moment.steps.len();
        }
        timed
    }

    /// When all is over that has an end.
    fn end(&self) -> DateTime<Utc> {
        let last = self.timed().pop().map(|last| time_of(last.moment.steps.len(), last.now));
        last.unwrap_or_else(|| at(0)) + TimeDelta::seconds(10)
    }

    /// Lets it happen in transactions of these sizes (the last one stands for all further ones).
    pub fn run(&self, sizes: &[usize]) -> (Vec<Told>, Store) {
        self.run_on(Store::with_stock(self.stock.iter().copied()), sizes)
    }

    /// The same, where every batch knows all that has lapsed. Otherwise it depends on what is in a batch which
    /// of several lapsed holds gives way first.
    pub fn run_with_all_lapsed(&self, sizes: &[usize]) -> (Vec<Told>, Store) {
        self.run_on(Store::with_stock(self.stock.iter().copied()).loading_all_lapsed(), sizes)
    }

    fn run_on(&self, mut store: Store, sizes: &[usize]) -> (Vec<Told>, Store) {
        let mut told = Vec::new();
        let mut sizes = sizes.iter().chain(sizes.last().into_iter().cycle());
        for timed in self.timed() {
            if let Some((product, units)) = timed.moment.delivery {
                store.deliver(product, units, timed.now);
            }
            told.extend(timed.moment.sweep.map(|limit| store.sweep(limit, timed.now)));
            let requests = timed.requests();
            let mut done = 0;
            while done < requests.len() {
                let size = sizes.next().map_or(1, |size| *size).min(requests.len() - done);
                told.extend(store.transact(&requests[done..done + size], time_of(done, timed.now)));
                done += size;
            }
        }
        told.push(store.sweep(usize::MAX, self.end()));
        (told, store)
    }

    /// What the reference says to the commands, and its books at the end.
    pub fn by_reference(&self) -> (Vec<Told>, Reference) {
        let mut reference = Reference::with_stock(self.stock.iter().copied());
        let mut told = Vec::new();
        for Timed { moment, now, position } in self.timed() {
            if let Some((product, units)) = moment.delivery {
                reference.deliver(product, units);
            }
            let steps = moment.steps.iter().enumerate();
            told.extend(
                steps.map(|(index, step)| reference.step(position + index, step, time_of(index, now))),
            );
        }
        reference.pass(self.end());
        (told, reference)
    }
}

/// In the words of the stories.
impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (product, on_hand) in &self.stock {
            writeln!(f, "    stock {} {on_hand}", name(product.0))?;
        }
        for Timed { moment, now, .. } in self.timed() {
            let now = exact(now);
            if let Some((product, units)) = moment.delivery {
                writeln!(f, "    @{now} deliver {} {units}", name(product.0))?;
            }
            if let Some(limit) = moment.sweep {
                writeln!(f, "    @{now} sweep {limit}")?;
            }
            for step in &moment.steps {
                writeln!(f, "    @{now} {step}")?;
            }
        }
        Ok(())
    }
}
