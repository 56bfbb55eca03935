//! One command and one query, to see what the service sends.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Consumer};
use uuid::Uuid;

use super::command::{COMMANDS, Kind, QUERIES, get_stock_level, lines, reserve};
use super::queries::DIRECT_REPLY_TO;
use super::rabbitmq::connect;
use super::subscriber::{EVENTS, OF_RESERVATIONS};
use crate::failure::Failure;
use crate::sample::{Sample, Samples};

const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Takes samples from a service that runs.
pub async fn take_samples(url: &str, products: [Uuid; 2]) -> Result<Samples, Failure> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    let mut events = subscribe(&channel).await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies =
        channel.basic_consume(DIRECT_REPLY_TO.into(), "".into(), no_ack, FieldTable::default()).await?;
    let cart = reserve(
        Uuid::new_v4(),
        Uuid::new_v4(),
        None,
        [lines(&products.map(|product| (product, 1))).as_str()],
    );
    send(&channel, COMMANDS, Kind::Reserve.routing_key(), &cart.body, None).await?;
    let query = get_stock_level(products[0]);
    send(&channel, QUERIES, "get-stock-level", &query, Some(DIRECT_REPLY_TO)).await?;
    let samples = Samples {
        event: Sample::of(&next(&mut events, "InventoryReserved").await?),
        reply: Sample::of(&next(&mut replies, "GetStockLevel").await?),
    };
    connection.close(200, "done".into()).await?;
    Ok(samples)
}

async fn subscribe(channel: &Channel) -> Result<Consumer, Failure> {
    let ours = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let queue = channel.queue_declare("".into(), ours, FieldTable::default()).await?;
    let (name, bind) = (queue.name(), QueueBindOptions::default());
    channel
        .queue_bind(name.clone(), EVENTS.into(), OF_RESERVATIONS.into(), bind, FieldTable::default())
        .await?;
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    Ok(channel.basic_consume(name.clone(), "".into(), no_ack, FieldTable::default()).await?)
}

async fn send(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    reply_to: Option<&str>,
) -> Result<(), Failure> {
    let mut properties = BasicProperties::default()
        .with_message_id(Uuid::new_v4().to_string().into())
        .with_correlation_id(Uuid::new_v4().to_string().into());
    if let Some(to) = reply_to {
        properties = properties.with_reply_to(to.into());
    }
    channel
        .basic_publish(exchange.into(), key.into(), BasicPublishOptions::default(), body, properties)
        .await?;
    Ok(())
}

async fn next(consumer: &mut Consumer, wanted: &str) -> Result<Delivery, Failure> {
    let nothing = || Failure::Wrong(format!("the service did not send {wanted}"));
    let delivery = tokio::time::timeout(ANSWER_MAX, consumer.next()).await.map_err(|_| nothing())?;
    let delivery = delivery.ok_or_else(nothing)??;
    let kind = delivery.properties.kind();
    if kind.as_ref().is_none_or(|kind| kind.as_str() != wanted) {
        return Err(Failure::Wrong(format!("the service sent {kind:?} instead of {wanted}")));
    }
    Ok(delivery)
}
