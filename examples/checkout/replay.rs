//! Plays the invoices in their order, with several carts in flight.

use std::{collections::HashMap, time::Instant};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};

use crate::{
    carts::{Carts, HeldCart, Part, Totals, add_up, units},
    client::{ClientError, InventoryClient},
    effects::{self, Timed},
    ids::Run,
    invoices::{Invoice, Kind},
    progress::Progress,
    tally::Tally,
};

/// What becomes of the orders that are held still when all invoices are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    StayHeld,
    Release,
    Ship,
}

/// What an invoice came to, and whose it was.
struct Done<'a> {
    customer: Option<&'a str>,
    effects: Vec<Timed>,
}

pub struct Replay<'a> {
    client: &'a InventoryClient,
    run: Run,
    concurrency: usize,
    in_flight: FuturesUnordered<BoxFuture<'a, Result<Done<'a>, ClientError>>>,
    /// Invoices in flight by customer.
    busy: HashMap<&'a str, usize>,
    carts: Carts,
    tally: Tally,
    progress: Progress,
}

impl<'a> Replay<'a> {
    pub fn new(client: &'a InventoryClient, run: Run, concurrency: usize, progress: Progress) -> Self {
        Self {
            client,
            run,
            concurrency,
            in_flight: FuturesUnordered::new(),
            busy: HashMap::new(),
            carts: Carts::default(),
            tally: Tally::default(),
            progress,
        }
    }

    /// Returns the sums, and what is held and shipped in the end.
    pub async fn play(
        mut self,
        invoices: &'a [Invoice],
        ending: Ending,
    ) -> Result<(Tally, Totals), ClientError> {
        let started = Instant::now();
        for invoice in invoices {
            match invoice.kind {
                Kind::Sale => self.sell(invoice).await?,
                Kind::Cancellation => self.cancel(invoice).await?,
            }
        }
        self.settle_until(|replay| replay.in_flight.is_empty()).await?;
        self.tally.took = started.elapsed();
        self.progress.finish();
        self.end(ending).await?;
        Ok((self.tally, self.carts.totals()))
    }

    async fn sell(&mut self, invoice: &'a Invoice) -> Result<(), ClientError> {
        self.tally.carts += 1;
        let (client, run) = (self.client, self.run);
        let reserve = async move { Ok(vec![effects::reserve(client, invoice, run).await?]) };
        self.start(invoice.customer.as_deref(), reserve).await
    }

    /// What a cancellation can give back depends on how its customer's earlier invoices came out, so they are
    /// waited for.
    async fn cancel(&mut self, invoice: &'a Invoice) -> Result<(), ClientError> {
        let customer = invoice.customer.as_deref();
        self.settle_until(|replay| !customer.is_some_and(|name| replay.busy.contains_key(name))).await?;
        let cancelled = add_up(invoice.lines.iter().map(|line| (line.product, line.units)));
        let plan = self.carts.plan_give_back(customer, cancelled);
        self.tally.cancellation(units(&plan.unmatched), plan.parts.is_empty());
        self.start(customer, give_back(self.client, plan.parts)).await
    }

    /// Settles what is held still, each order at once with several others.
    async fn end(&mut self, ending: Ending) -> Result<(), ClientError> {
        let what = match ending {
            Ending::StayHeld => return Ok(()),
            Ending::Release => "orders released",
            Ending::Ship => "orders shipped",
        };
        let (client, orders) = (self.client, self.carts.held().cloned().collect::<Vec<HeldCart>>());
        self.progress = Progress::new(what, orders.len());
        for order in orders {
            let work = match ending {
                Ending::Ship => effects::ship(client, order).boxed(),
                _ => give_back(client, vec![Part::all(order)]).boxed(),
            };
            self.start(None, work).await?;
        }
        self.settle_until(|replay| replay.in_flight.is_empty()).await?;
        self.progress.finish();
        Ok(())
    }

    /// Adds to what is in flight, as soon as there is room.
    async fn start(
        &mut self,
        customer: Option<&'a str>,
        work: impl Future<Output = Result<Vec<Timed>, ClientError>> + Send + 'a,
    ) -> Result<(), ClientError> {
        self.settle_until(|replay| replay.in_flight.len() < replay.concurrency).await?;
        if let Some(customer) = customer {
            *self.busy.entry(customer).or_default() += 1;
        }
        let done = work.map(move |effects| effects.map(|effects| Done { customer, effects }));
        self.in_flight.push(done.boxed());
        Ok(())
    }

    /// Takes in what is done, one by one, until there is nothing to wait for any more.
    async fn settle_until(&mut self, enough: impl Fn(&Self) -> bool) -> Result<(), ClientError> {
        while !enough(self) {
            let Some(done) = self.in_flight.next().await else {
                break;
            };
            self.settle(done?);
        }
        Ok(())
    }

    fn settle(&mut self, done: Done<'a>) {
        if let Some(customer) = done.customer {
            self.no_longer_busy(customer);
        }
        for timed in done.effects {
            self.tally.count(&timed);
            self.carts.apply(timed.effect);
        }
        self.progress.step();
    }

    fn no_longer_busy(&mut self, customer: &'a str) {
        if let Some(count) = self.busy.get_mut(customer) {
            *count -= 1;
            if *count == 0 {
                self.busy.remove(customer);
            }
        }
    }
}

async fn give_back(client: &InventoryClient, parts: Vec<Part>) -> Result<Vec<Timed>, ClientError> {
    let mut effects = Vec::with_capacity(parts.len());
    for part in parts {
        effects.push(effects::release(client, part).await?);
    }
    Ok(effects)
}
