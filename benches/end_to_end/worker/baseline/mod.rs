//! What a good team would write first, written as well as can be: a transaction a command, stock locked in the order of
//! its keys, prepared statements, 32 at once, and the same promises as the service: idempotency by `message_id`, an
//! outbox row in the transaction, the event published with confirm after the commit, the command acknowledged after it.
//!
//! It is no worse than it has to be: what is written goes in one statement, events are confirmed and their rows deleted
//! many at a time. What it does not do is take several commands into one transaction.

mod books;
mod decision;
mod outbox;

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Executor};
use tokio::sync::{Mutex, mpsc};

use super::say_ready;
use crate::failure::Failure;
use crate::load::{COMMANDS, connect};
use crate::sample::Sample;

use outbox::{Outbox, Promised};

/// The tables.
const SCHEMA: &str = include_str!("schema.sql");

/// Commands handled at the same time, each on a connection of its own.
const AT_ONCE: usize = 32;

/// Enough that nobody waits for RabbitMQ.
const PREFETCH: u16 = 256;

/// Makes the tables, and the stock of these products.
pub async fn prepare(database_url: &str, products: &[uuid::Uuid]) -> Result<(), Failure> {
    let mut connection = PgConnection::connect(database_url).await?;
    connection.execute(sqlx::raw_sql(SCHEMA)).await?;
    sqlx::query("INSERT INTO stock (product_id, on_hand) SELECT product_id, 1000000000000 FROM unnest($1) AS p (product_id)")
        .bind(products)
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

/// Works until something fails.
pub async fn run(amqp_url: &str, database_url: &str, event: Sample) -> Result<(), Failure> {
    let consuming = connect(amqp_url).await?;
    let channel = consuming.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(COMMANDS.into(), "".into(), options, FieldTable::default()).await?;
    let (inbox, arrived) = mpsc::channel(PREFETCH.into());
    tokio::spawn(async move {
        while let Some(Ok(delivery)) = consumer.next().await {
            if inbox.send(delivery).await.is_err() {
                break;
            }
        }
    });
    let (promises, to_publish) = mpsc::channel(PREFETCH.into());
    let outbox = Outbox::open(amqp_url, database_url, event, to_publish).await?;
    let arrived = Arc::new(Mutex::new(arrived));
    let connections = try_join_all((0..AT_ONCE).map(|_| PgConnection::connect(database_url))).await?;
    let clerks = connections.into_iter().map(|connection| {
        let clerk = Clerk { arrived: Arc::clone(&arrived), connection, promises: promises.clone() };
        flatten(tokio::spawn(clerk.work()))
    });
    let clerks = try_join_all(clerks);
    drop(promises);
    say_ready();
    tokio::try_join!(clerks, flatten(tokio::spawn(outbox.relay())))?;
    Ok(())
}

async fn flatten(task: tokio::task::JoinHandle<Result<(), Failure>>) -> Result<(), Failure> {
    task.await.map_err(|error| Failure::Wrong(error.to_string()))?
}

/// Handles one command after the other.
struct Clerk {
    arrived: Arc<Mutex<mpsc::Receiver<Delivery>>>,
    connection: PgConnection,
    promises: mpsc::Sender<Promised>,
}

impl Clerk {
    async fn work(mut self) -> Result<(), Failure> {
        while let Some(delivery) = self.next().await {
            let promised = books::handle(&mut self.connection, &delivery).await?;
            delivery.acker.ack(BasicAckOptions::default()).await?;
            if self.promises.send(promised).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    async fn next(&self) -> Option<Delivery> {
        self.arrived.lock().await.recv().await
    }
}
