//! Answers queries from committed state (contract 4.5).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::batch::{Disposition, Pressure, Reply, Settlement};
use crate::clock;
use crate::contract::{
    Answer, Causation, Code, Limits, Message, MessageType, Problem, Query, ReplyToPolicy, ReservationKey,
    answer_problem, answer_reservation, answer_stock_level, answer_stock_levels, decode_query,
};
use crate::domain::{CartId, OrderId, ProductId, Reservation, ReservationId, State, StockLevel};
use crate::metrics::Metrics;
use crate::storage::{Database, StorageError, reservation, stock};

/// Pause between two looks at a database that is away.
const PAUSE: Duration = Duration::from_millis(500);

/// Answers queries; many at a time with one statement.
#[derive(Debug, Clone)]
pub struct Responder {
    /// The books.
    pub database: Database,
    /// What senders may ask for.
    pub limits: Limits,
    /// Where answers may go.
    pub reply_to: ReplyToPolicy,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Ends the waiting for a database that is away.
    pub stop: CancellationToken,
    /// Tells commands when queries need the room.
    pub pressure: Pressure,
}

/// A query that was understood, and whom to answer.
struct Asked {
    query: Query,
    reply_to: String,
}

/// Why queries cannot be answered.
enum Unanswered {
    /// It takes too long, or nobody's could be.
    InTime,
    /// PostgreSQL is away, and the service stops.
    Stopped,
    /// What one of them is about cannot be read.
    Broken,
}

/// What the queries of a batch are about.
struct Known {
    /// Of one moment.
    levels: HashMap<ProductId, StockLevel>,
    by_id: HashMap<ReservationId, Reservation>,
    by_cart: HashMap<CartId, ReservationId>,
    by_order: HashMap<OrderId, ReservationId>,
}

impl Responder {
    /// Answers queries; the settlements are in the same order.
    pub async fn handle(&self, messages: &[Message]) -> Vec<Settlement> {
        let mut asked = Vec::with_capacity(messages.len());
        let mut settled: Vec<_> = messages.iter().map(|_| None).collect();
        for (position, message) in messages.iter().enumerate() {
            match self.read(message) {
                Ok(query) => asked.push((position, query)),
                Err(settlement) => settled[position] = Some(*settlement),
            }
        }
        // Perhaps it is one that harms its neighbours: what cannot be answered together is tried in halves.
        let mut parts = vec![asked];
        while let Some(mut part) = parts.pop() {
            let queries: Vec<&Query> = part.iter().map(|(_, asked)| &asked.query).collect();
            match self.look_up(&queries).await {
                Ok(known) => {
                    for (position, asked) in part {
                        settled[position] = Some(self.answer(&messages[position], asked, &known));
                    }
                }
                Err(Unanswered::Broken) if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                Err(Unanswered::Broken | Unanswered::InTime) => {}
                Err(Unanswered::Stopped) => return vec![Settlement::retry(); messages.len()],
            }
        }
        settled.into_iter().map(|settlement| settlement.unwrap_or_else(Settlement::retry)).collect()
    }

    fn read(&self, message: &Message) -> Result<Asked, Box<Settlement>> {
        let reply_to = match self.reply_to.check(message) {
            Ok(Some(queue)) => queue.to_owned(),
            Ok(None) => {
                let problem =
                    Problem::new(Code::InvalidMessage, "A query needs reply_to: where the answer goes.");
                return Err(Box::new(self.reject(message, problem, None)));
            }
            Err(problem) => return Err(Box::new(self.reject(message, problem, None))),
        };
        match decode_query(message, &self.limits) {
            Ok(query) => Ok(Asked { query, reply_to }),
            Err(problem) => Err(Box::new(self.reject(message, problem, Some(reply_to)))),
        }
    }

    /// What is known.
    async fn look_up(&self, queries: &[&Query]) -> Result<Known, Unanswered> {
        loop {
            match self.database.using(async |books| Known::read(books, queries).await).await {
                Ok(known) => {
                    self.pressure.add(queries.len());
                    return Ok(known);
                }
                Err(error) if error.is_away() || error.is_lost_race() => {
                    warn!(%error, queries = queries.len(), "queries wait for the database");
                    let pause = tokio::time::sleep(PAUSE);
                    self.stop.run_until_cancelled(pause).await.ok_or(Unanswered::Stopped)?;
                }
                // Nothing that waiting would mend: their time is soon over.
                Err(error) => {
                    warn!(%error, queries = queries.len(), "queries cannot be answered");
                    let is_of_all = matches!(error, StorageError::TooSlow(_)) || error.is_everybodys();
                    return Err(if is_of_all { Unanswered::InTime } else { Unanswered::Broken });
                }
            }
        }
    }

    fn answer(&self, message: &Message, asked: Asked, known: &Known) -> Settlement {
        let Asked { query, reply_to } = asked;
        let (answer, outcome) = match known.answer(&query) {
            Ok(answer) => (answer, "Answered"),
            Err(problem) => (answer_problem(Uuid::now_v7(), &problem, clock::wall()), problem.code.name()),
        };
        self.metrics.message(query.message_type().name(), outcome);
        let causation = Arc::new(Causation::of(message));
        let reply = Reply { to: reply_to, answer: Arc::new(answer), causation };
        Settlement { disposition: Disposition::Acknowledge, reply: Some(reply) }
    }

    /// A query that can be answered is answered with the problem, and not dead-lettered (contract section 5).
    /// A command that went astray is no query: it must not be lost.
    fn reject(&self, message: &Message, problem: Problem, reply_to: Option<String>) -> Settlement {
        let settlement =
            Settlement::problem("Query", problem, reply_to, Arc::new(Causation::of(message)), &self.metrics);
        let is_astray = MessageType::of(message).is_some_and(MessageType::is_command);
        if settlement.reply.is_some() && !is_astray {
            Settlement { disposition: Disposition::Acknowledge, ..settlement }
        } else {
            settlement
        }
    }
}

impl Known {
    /// Reads what the queries are about: all stock in one snapshot, all reservations in one.
    async fn read(books: &mut PgConnection, queries: &[&Query]) -> Result<Self, StorageError> {
        // While PostgreSQL is away nothing is acknowledged or dead-lettered (contract section 5), not even what needs nothing
        // of it.
        if queries.is_empty() {
            books.ping().await?;
        }
        let products: BTreeSet<Uuid> =
            queries.iter().flat_map(|query| query.products()).map(|product| product.0).collect();
        let mut known = Self {
            levels: HashMap::new(),
            by_id: HashMap::new(),
            by_cart: HashMap::new(),
            by_order: HashMap::new(),
        };
        if !products.is_empty() {
            let products: Vec<Uuid> = products.into_iter().collect();
            known.levels.extend(stock::read(&mut *books, &products).await?);
        }
        let (mut ids, mut carts, mut orders) = (Vec::new(), Vec::new(), Vec::new());
        for query in queries {
            match query {
                Query::Reservation(ReservationKey::Reservation(id)) => ids.push(id.0),
                Query::Reservation(ReservationKey::Cart(cart)) => carts.push(cart.0),
                Query::Reservation(ReservationKey::Order(order)) => orders.push(order.0),
                Query::StockLevel(_) | Query::StockLevels(_) => {}
            }
        }
        if !(ids.is_empty() && carts.is_empty() && orders.is_empty()) {
            let found = reservation::read(books, &ids, &carts, &orders).await?;
            for reservation in found {
                known.add(reservation);
            }
        }
        Ok(known)
    }

    fn add(&mut self, reservation: Reservation) {
        if let Some(hold) = &reservation.hold {
            if self.is_better(&reservation, self.by_cart.get(&hold.cart)) {
                self.by_cart.insert(hold.cart, reservation.id);
            }
            if let Some(order) = hold.order
                && self.is_better(&reservation, self.by_order.get(&order))
            {
                self.by_order.insert(order, reservation.id);
            }
        }
        self.by_id.insert(reservation.id, reservation);
    }

    /// Of several reservations of a cart or an order the live one is meant, or else the latest.
    fn is_better(&self, reservation: &Reservation, than: Option<&ReservationId>) -> bool {
        let rank =
            |r: &Reservation| (r.state == State::Held, r.hold.as_ref().map(|hold| hold.reserved_at), r.id);
        than.and_then(|id| self.by_id.get(id)).is_none_or(|other| rank(other) < rank(reservation))
    }

    fn answer(&self, query: &Query) -> Result<Answer, Problem> {
        let (id, now) = (Uuid::now_v7(), clock::wall());
        match query {
            Query::StockLevel(product) => match self.levels.get(product) {
                Some(level) => Ok(answer_stock_level(id, *product, *level, now)),
                None => Err(Problem::new(
                    Code::ProductNotFound,
                    format!("Product {product} is not known: nobody has counted it yet."),
                )),
            },
            Query::StockLevels(products) => Ok(answer_stock_levels(id, products, &self.levels, now)),
            Query::Reservation(key) => self
                .reservation(*key)
                .and_then(|reservation| answer_reservation(id, reservation, now))
                .ok_or_else(|| Problem::new(Code::ReservationNotFound, "There is no such reservation.")),
        }
    }

    fn reservation(&self, key: ReservationKey) -> Option<&Reservation> {
        let id = match key {
            ReservationKey::Reservation(id) => id,
            ReservationKey::Cart(cart) => *self.by_cart.get(&cart)?,
            ReservationKey::Order(order) => *self.by_order.get(&order)?,
        };
        self.by_id.get(&id)
    }
}
