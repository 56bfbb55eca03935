//! Events leave from memory after the commit, and their rows when RabbitMQ has confirmed them.

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::failure::Failure;
use crate::load::{EVENTS, connect};
use crate::sample::Sample;

/// Events that are published and confirmed together at most.
const AT_ONCE: usize = 256;

/// An event that is promised.
#[derive(Debug)]
pub struct Promised {
    /// Its row; nothing where the event has been published before.
    pub outbox_id: Option<i64>,
    /// Its identity.
    pub event_id: Uuid,
    /// Its type.
    pub event_type: String,
    /// Its body.
    pub body: Vec<u8>,
    /// The properties of the command.
    pub properties: BasicProperties,
}

/// Publishes events.
pub struct Outbox {
    _publishing: Connection,
    channel: Channel,
    database: PgConnection,
    /// Has the properties that events have.
    event: Sample,
    promised: mpsc::Receiver<Promised>,
}

impl Outbox {
    /// Connects.
    pub async fn open(
        amqp_url: &str,
        database_url: &str,
        event: Sample,
        promised: mpsc::Receiver<Promised>,
    ) -> Result<Self, Failure> {
        let publishing = connect(amqp_url).await?;
        let channel = publishing.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let database = PgConnection::connect(database_url).await?;
        Ok(Self { _publishing: publishing, channel, database, event, promised })
    }

    /// Publishes until nobody promises any more.
    pub async fn relay(mut self) -> Result<(), Failure> {
        let mut lot = Vec::with_capacity(AT_ONCE);
        while self.promised.recv_many(&mut lot, AT_ONCE).await > 0 {
            self.publish(&lot).await?;
            let ids: Vec<i64> = lot.drain(..).filter_map(|promised| promised.outbox_id).collect();
            sqlx::query("DELETE FROM outbox WHERE outbox_id = ANY ($1)")
                .bind(ids)
                .execute(&mut self.database)
                .await?;
        }
        Ok(())
    }

    async fn publish(&self, lot: &[Promised]) -> Result<(), Failure> {
        let publications = lot.iter().map(|promised| {
            let properties = self.event.answering(&promised.properties, promised.event_id);
            let properties = properties.with_type(promised.event_type.as_str().into());
            let (exchange, key) = (EVENTS.into(), self.event.routing_key().into());
            self.channel.basic_publish(
                exchange,
                key,
                BasicPublishOptions::default(),
                &promised.body,
                properties,
            )
        });
        for confirm in try_join_all(publications).await? {
            if !matches!(confirm.await?, Confirmation::Ack(None)) {
                return Err(Failure::Wrong("RabbitMQ refused an event".to_owned()));
            }
        }
        Ok(())
    }
}
