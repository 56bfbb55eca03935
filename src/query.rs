//! Answers queries from committed state (contract 4.5).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::batch::{Disposition, Reply, Settlement};
use crate::clock;
use crate::contract::{
    Causation, Code, Limits, Message, MessageType, Problem, ReplyToPolicy, answer_problem,
    answer_stock_level, decode_query,
};
use crate::domain::{ProductId, StockLevel};
use crate::metrics::Metrics;
use crate::storage::{Database, stock};

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
}

/// A query that was understood, and whom to answer.
struct Query {
    product: ProductId,
    reply_to: String,
}

impl Responder {
    /// Answers queries; the settlements are in the same order.
    pub async fn handle(&self, messages: &[Message]) -> Vec<Settlement> {
        let queries: Vec<_> = messages.iter().map(|message| self.read(message)).collect();
        let products: Vec<Uuid> = queries.iter().flatten().map(|query| query.product.0).collect();
        let Some(levels) = self.levels(&products).await else {
            return messages.iter().map(|_| Settlement::retry()).collect();
        };
        messages
            .iter()
            .zip(queries)
            .map(|(message, query)| match query {
                Ok(query) => self.answer(message, query, &levels),
                Err(settlement) => *settlement,
            })
            .collect()
    }

    fn read(&self, message: &Message) -> Result<Query, Box<Settlement>> {
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
            Ok(product) => Ok(Query { product, reply_to }),
            Err(problem) => Err(Box::new(self.reject(message, problem, Some(reply_to)))),
        }
    }

    /// The levels of the products that are known; nothing where the service stops before they could be read.
    async fn levels(&self, products: &[Uuid]) -> Option<HashMap<ProductId, StockLevel>> {
        if products.is_empty() {
            return Some(HashMap::new());
        }
        loop {
            match stock::read(self.database.pool(), products).await {
                Ok(levels) => return Some(levels.into_iter().collect()),
                Err(error) => {
                    warn!(%error, queries = products.len(), "queries wait for the database");
                    self.stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await?;
                }
            }
        }
    }

    fn answer(&self, message: &Message, query: Query, levels: &HashMap<ProductId, StockLevel>) -> Settlement {
        let Query { product, reply_to } = query;
        let (id, now) = (Uuid::now_v7(), clock::wall());
        let (answer, outcome) = if let Some(level) = levels.get(&product) {
            (answer_stock_level(id, product, *level, now), "Answered")
        } else {
            let detail = format!("Product {product} is not known: nobody has counted it yet.");
            let problem = Problem::new(Code::ProductNotFound, detail);
            (answer_problem(id, &problem, now), problem.code.name())
        };
        self.metrics.message(MessageType::GetStockLevel.name(), outcome);
        let causation = Arc::new(Causation::of(message));
        let reply = Reply { to: reply_to, answer: Arc::new(answer), causation };
        Settlement { disposition: Disposition::Acknowledge, reply: Some(reply) }
    }

    /// A query that can be answered is answered with the problem, and not dead-lettered (contract section 5).
    /// A command that went astray is no query: it must not be lost.
    fn reject(&self, message: &Message, problem: Problem, reply_to: Option<String>) -> Settlement {
        let causation = Arc::new(Causation::of(message));
        warn!(
            code = problem.code.name(),
            detail = problem.detail,
            message_id = causation.causation_id,
            correlation_id = causation.correlation_id,
            "query could not be understood"
        );
        self.metrics.message("Query", problem.code.name());
        let answer = Arc::new(answer_problem(Uuid::now_v7(), &problem, clock::wall()));
        let reply = reply_to.map(|to| Reply { to, answer, causation });
        let is_astray = !matches!(MessageType::of(message), Some(MessageType::GetStockLevel) | None);
        let disposition = if reply.is_some() && !is_astray {
            Disposition::Acknowledge
        } else {
            Disposition::DeadLetter(problem)
        };
        Settlement { disposition, reply }
    }
}
