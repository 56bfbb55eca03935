//! A client of the inventory service, made to be copied: this file and the folder `client/` are all of it.
//! Besides lapin and tokio it uses futures-util, serde, `serde_json`, thiserror, tracing and uuid.
//!
//! It shows what a client of a message-driven service has to see to:
//!
//! - **Sent means in a queue.** Every message is `mandatory` (an unroutable one comes back) and confirmed by
//!   the broker.
//! - **The outcome of a reserve is read from the events exchange**, because events are the record: written in
//!   one transaction with the stock, published until the broker has confirmed them. The copy that comes as a
//!   reply is passed over. Replies are best effort, which is enough for all the rest: whoever waits for the
//!   answer to a release, a consumption or a query asks again. (`InventoryReleased` and `InventoryConsumed`
//!   are for those who must hear of it and did not ask.)
//! - **Answers find their question by correlation id**; here it is the message id, which is unique for each
//!   question.
//! - **No answer in time: the same message again, with the same message id.** The service applies a command
//!   once and repeats its answer, so sending again is always safe, whether it was the command that got lost,
//!   or the answer.
//! - **Subscribed before the first message is sent**, and again before the first one after a reconnection.

mod connection;
mod error;
pub mod messages;
mod publisher;
mod waiting;

use std::{sync::Arc, time::Duration};

use lapin::{BasicProperties, types::ShortString, uri::AMQPUri};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use uuid::Uuid;

use connection::{DIRECT_REPLY_TO, Session, keep_connected};
pub use error::ClientError;
use messages::{
    ConsumeInventory, GetStockLevels, Outcome, ReleaseInventory, ReserveInventory, Settled, Status,
    StockLevel, StockLevels,
};
use publisher::{Message, Publication, Verdict};
use waiting::{Answer, Source, Ticket, Waiting};

/// How long to wait before a message is sent once more.
const SEND_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Messages that wait for the one before them to be confirmed, or for a new connection.
const QUEUED_AT_MOST: usize = 256;
const NON_PERSISTENT: u8 = 1;
const PERSISTENT: u8 = 2;

/// Cannot be printed, because the URI has a password in it.
#[derive(Clone)]
pub struct Settings {
    pub uri: AMQPUri,
    pub commands_exchange: ShortString,
    pub queries_exchange: ShortString,
    pub events_exchange: ShortString,
    /// Who we are, in the messages' `app_id` and on the broker's list of connections.
    pub app_id: &'static str,
    /// How long to wait for an answer in all, with every attempt.
    pub answer_within: Duration,
}

/// What is asked, and where: one entry for each message that the service takes.
struct Route {
    kind: &'static str,
    exchange: ShortString,
    routing_key: &'static str,
    answered_by: Source,
    delivery_mode: u8,
}

/// Can be shared by any number of tasks: all of its methods take `&self`.
pub struct InventoryClient {
    settings: Settings,
    publications: mpsc::Sender<Publication>,
    waiting: Waiting,
    connection: JoinHandle<()>,
}

impl InventoryClient {
    /// Fails if the broker or the service's exchanges are not there; later on, a connection that breaks is
    /// replaced.
    pub async fn connect(settings: Settings) -> Result<Self, ClientError> {
        let session = Session::open(&settings).await?;
        let waiting = Waiting::default();
        let (publications, receiver) = mpsc::channel(QUEUED_AT_MOST);
        let connection = tokio::spawn(keep_connected(session, settings.clone(), receiver, waiting.clone()));
        Ok(Self { settings, publications, waiting, connection })
    }

    /// Reserves all of the cart or nothing, and returns when it is known which.
    pub async fn reserve(&self, command: &ReserveInventory) -> Result<Outcome, ClientError> {
        let route = self.command("ReserveInventory", "reserve-inventory", Source::Event);
        let answer = self.ask(&route, command).await?;
        match answer.kind.as_str() {
            "InventoryReserved" => Ok(Outcome::Reserved(decode(&route, &answer)?)),
            "InventoryUnavailable" => Ok(Outcome::Unavailable(decode(&route, &answer)?)),
            _ => Err(ClientError::Unexpected { kind: route.kind, answer: answer.kind }),
        }
    }

    /// Gives back what a reservation holds, or a part of it.
    pub async fn release(&self, command: &ReleaseInventory) -> Result<Status, ClientError> {
        let route = self.command("ReleaseInventory", "release-inventory", Source::Reply);
        let answer = self.ask(&route, command).await?;
        Ok(decode::<Settled>(&route, &answer)?.status)
    }

    /// Says that what a reservation holds, or a part of it, has left the house.
    pub async fn consume(&self, command: &ConsumeInventory) -> Result<Status, ClientError> {
        let route = self.command("ConsumeInventory", "consume-inventory", Source::Reply);
        let answer = self.ask(&route, command).await?;
        Ok(decode::<Settled>(&route, &answer)?.status)
    }

    /// Leaves out products that the service does not know. It takes up to 1,000 at a time.
    pub async fn stock_levels(&self, product_ids: &[Uuid]) -> Result<Vec<StockLevel>, ClientError> {
        let route = Route {
            kind: "GetStockLevels",
            exchange: self.settings.queries_exchange.clone(),
            routing_key: "get-stock-levels",
            answered_by: Source::Reply,
            // A question is worth nothing any more once its asker is gone.
            delivery_mode: NON_PERSISTENT,
        };
        let answer = self.ask(&route, &GetStockLevels { product_ids }).await?;
        Ok(decode::<StockLevels>(&route, &answer)?.stock_levels)
    }

    /// Closes the connection in good order.
    pub async fn close(self) {
        drop(self.publications);
        if let Err(error) = self.connection.await {
            tracing::warn!(%error, "the connection's task failed");
        }
    }

    fn command(&self, kind: &'static str, routing_key: &'static str, answered_by: Source) -> Route {
        Route {
            kind,
            exchange: self.settings.commands_exchange.clone(),
            routing_key,
            answered_by,
            delivery_mode: PERSISTENT,
        }
    }

    /// Sends a message until it is answered, or time is up.
    async fn ask(&self, route: &Route, body: &impl Serialize) -> Result<Answer, ClientError> {
        let message = self.message(route, body)?;
        let mut ticket = self.waiting.register(&message.id, route.answered_by);
        let deadline = Instant::now() + self.settings.answer_within;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let until = deadline.min(Instant::now() + SEND_AGAIN_AFTER);
            match timeout_at(until, self.attempt(&message, &mut ticket)).await {
                Ok(answer) => return refuse_problem(route, answer?),
                Err(_) if until == deadline => {
                    return Err(ClientError::NoAnswer {
                        kind: route.kind,
                        message_id: message.id.clone(),
                        attempts,
                        within: self.settings.answer_within,
                    });
                }
                Err(_) => tracing::warn!(
                    kind = route.kind,
                    message_id = message.id,
                    attempts,
                    "no answer yet; sending the same message again"
                ),
            }
        }
    }

    async fn attempt(&self, message: &Arc<Message>, ticket: &mut Ticket) -> Result<Answer, ClientError> {
        match self.publish(message).await? {
            Some(Verdict::Confirmed) => {}
            Some(Verdict::Unroutable(reason)) => {
                return Err(ClientError::Unroutable {
                    exchange: message.exchange.to_string(),
                    routing_key: message.routing_key,
                    reason,
                });
            }
            // It may have arrived all the same, so the answer is waited for until it is time for the next
            // attempt.
            Some(Verdict::Rejected) | None => {
                tracing::warn!(message_id = message.id, "the broker did not take the message");
            }
        }
        (&mut ticket.answer).await.map_err(|_| ClientError::Closed)
    }

    /// `None`: the connection broke before the broker had confirmed.
    async fn publish(&self, message: &Arc<Message>) -> Result<Option<Verdict>, ClientError> {
        let (verdict, receiver) = oneshot::channel();
        let publication = Publication { message: Arc::clone(message), verdict };
        self.publications.send(publication).await.map_err(|_| ClientError::Closed)?;
        Ok(receiver.await.ok())
    }

    fn message(&self, route: &Route, body: &impl Serialize) -> Result<Arc<Message>, ClientError> {
        let id = Uuid::now_v7().to_string();
        let body = serde_json::to_vec(body)
            .map_err(|source| ClientError::Unwritable { kind: route.kind, source })?;
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_type(route.kind.into())
            .with_message_id(id.as_str().into())
            .with_correlation_id(id.as_str().into())
            .with_reply_to(DIRECT_REPLY_TO.into())
            .with_app_id(self.settings.app_id.into())
            .with_delivery_mode(route.delivery_mode);
        Ok(Arc::new(Message {
            exchange: route.exchange.clone(),
            routing_key: route.routing_key,
            id,
            properties,
            body,
        }))
    }
}

fn refuse_problem(route: &Route, answer: Answer) -> Result<Answer, ClientError> {
    if answer.kind != Answer::PROBLEM {
        return Ok(answer);
    }
    Err(ClientError::Refused { kind: route.kind, problem: decode(route, &answer)? })
}

fn decode<T: DeserializeOwned>(route: &Route, answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|source| ClientError::Unreadable {
        kind: route.kind,
        answer: answer.kind.clone(),
        source,
    })
}
