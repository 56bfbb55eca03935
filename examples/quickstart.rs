//! The shortest useful client, and the life of a hold: asks for the stock of a product, reserves one unit,
//! extends the hold, looks at it, and gives the unit back; with `ship` it leaves the house instead.
//!
//!     AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f cargo run --example quickstart -- PRODUCT_ID [ship]
//!
//! For publisher confirms, reconnecting and many carts at once see the example `checkout`.
#![allow(clippy::print_stdout, reason = "this is what the user asked for")]

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

/// RabbitMQ sends what is published to this name back to whoever consumes it on the same channel.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";
/// How long to wait before the same message is sent again. That is safe: its `message_id` is the same.
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 3;

/// Where a message goes, and what it is.
struct Kind(&'static str, &'static str, &'static str);

const GET_STOCK_LEVEL: Kind = Kind("inventory.queries", "get-stock-level", "GetStockLevel");
const RESERVE: Kind = Kind("inventory.commands", "reserve-inventory", "ReserveInventory");
const EXTEND: Kind = Kind("inventory.commands", "extend-hold", "ExtendHold");
const GET_RESERVATION: Kind = Kind("inventory.queries", "get-reservation", "GetReservation");
const CONSUME: Kind = Kind("inventory.commands", "consume-inventory", "ConsumeInventory");
const RELEASE: Kind = Kind("inventory.commands", "release-inventory", "ReleaseInventory");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (product, ship) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [product] => (product, false),
        [product, "ship"] => (product, true),
        _ => return Err("usage: quickstart PRODUCT_ID [ship]".into()),
    };
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".into());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies =
        channel.basic_consume(DIRECT_REPLY_TO.into(), "".into(), options, FieldTable::default()).await?;

    ask(&channel, &mut replies, &GET_STOCK_LEVEL, &json!({ "productId": product })).await?;
    // Chosen here, so that the hold can be released even if its answer is never seen.
    let reservation = Uuid::now_v7();
    let cart = json!({
        "cartId": Uuid::now_v7(),
        "reservationId": reservation,
        "holdSeconds": 600, // a hold that is forgotten lapses by itself
        "items": [{ "productId": product, "quantity": 1 }],
    });
    if ask(&channel, &mut replies, &RESERVE, &cart).await? != "InventoryReserved" {
        return Err("out of stock".into());
    }
    // What a payment page would do: from now on there is half an hour to pay.
    let extend = json!({ "reservationId": reservation, "holdSeconds": 1800 });
    ask(&channel, &mut replies, &EXTEND, &extend).await?;
    ask(&channel, &mut replies, &GET_RESERVATION, &json!({ "reservationId": reservation })).await?;
    if ship {
        // Sent when the goods have left the house, and not when they are paid.
        ask(&channel, &mut replies, &CONSUME, &json!({ "reservationId": reservation })).await?;
    } else {
        let release = json!({ "reservationId": reservation, "reason": "ORDER_CANCELLED" });
        ask(&channel, &mut replies, &RELEASE, &release).await?;
    }
    Ok(connection.close(200, "done".into()).await?)
}

/// Sends a message, waits for the answer to it, and prints that. Gives the type of the answer.
async fn ask(
    channel: &Channel,
    replies: &mut Consumer,
    Kind(exchange, routing_key, message_type): &Kind,
    body: &Value,
) -> Result<String, Box<dyn Error>> {
    let message_id = Uuid::now_v7().to_string();
    let properties = BasicProperties::default()
        .with_type((*message_type).into())
        .with_content_type("application/json".into())
        .with_message_id(message_id.as_str().into())
        .with_reply_to(DIRECT_REPLY_TO.into())
        .with_delivery_mode(2);
    for _ in 0..ATTEMPTS {
        let (exchange, key) = ((*exchange).into(), (*routing_key).into());
        let payload = body.to_string();
        let options = BasicPublishOptions::default();
        channel.basic_publish(exchange, key, options, payload.as_bytes(), properties.clone()).await?;
        if let Ok(answer) = timeout(PATIENCE, answer_to(&message_id, replies)).await {
            return answer;
        }
    }
    Err(format!("no answer to {message_type}: is the service running?").into())
}

async fn answer_to(message_id: &str, replies: &mut Consumer) -> Result<String, Box<dyn Error>> {
    while let Some(reply) = replies.next().await {
        let reply = reply?;
        // Where a message has no correlation id of its own, its answers carry its message id.
        if reply.properties.correlation_id().as_ref().is_none_or(|id| id.as_str() != message_id) {
            continue;
        }
        let message_type = reply.properties.kind().as_ref().map(ToString::to_string).unwrap_or_default();
        let body = String::from_utf8(reply.data)?;
        if message_type == "Error" {
            return Err(body.into());
        }
        println!("{message_type} {body}");
        return Ok(message_type);
    }
    Err("the connection to RabbitMQ is gone".into())
}
