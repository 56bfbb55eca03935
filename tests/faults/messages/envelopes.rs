//! Properties and headers that are meant for the broker, or for nobody.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use uuid::Uuid;

use crate::support::http;
use crate::support::message::Queue;
use crate::support::{Harness, Message, Setup, eventually};

/// What comes before the address of a client that uses direct reply-to.
const DIRECT: &str = "amq.rabbitmq.reply-to.";

/// Names that no queue has; some mean something to RabbitMQ.
fn nobodys_queues() -> Vec<String> {
    let names = ["amq.direct", "*", "#", " ", "nul\0nul", "two\nlines", "ä€𝄞", "'; DROP TABLE stock; --"];
    let mut names = names.map(ToOwned::to_owned).to_vec();
    names.extend(["q".repeat(255), format!("{}x", "€".repeat(84)), "\u{202e}".repeat(85)]);
    names
}

/// Addresses that RabbitMQ cannot have made. It would close the connection of whoever publishes to one of them.
fn made_up_addresses() -> Vec<String> {
    // A name that is longer than it says, a node without a number, a name that is not in UTF-8, and no process.
    let terms = [
        &b"\x83Xv\0\x0ereply@127.0.0.1"[..],
        b"\x83Xw\x05reply\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x83Xd\0\x07reply@1\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\x83j",
    ];
    let mut addresses: Vec<String> =
        terms.iter().map(|term| format!("{DIRECT}{}.bm9ib2R5", BASE64_STANDARD.encode(term))).collect();
    addresses.extend(["", "garbage", "gar.bage", "."].map(|address| format!("{DIRECT}{address}")));
    addresses
}

fn with_answers_to(queue: &str, product: Uuid) -> [Message; 3] {
    [
        Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(queue),
        Message::stock_level(product).with_reply_to(queue),
        Message::release(&Uuid::new_v4().to_string()).with_reply_to(queue),
    ]
}

/// Demands that the next answers are heard, and that no connection was lost on the way to them.
async fn assert_others_are_answered(harness: &mut Harness, product: Uuid, queue: &str) {
    let replies = harness.client.replies.queue.clone();
    let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_reply_to(&replies);
    harness.outcome_of(&command).await.reservation();
    harness.next_reply_to(&command).await.reservation();
    // A query as well, because those are answered beside the commands.
    assert_eq!(harness.ask(Message::stock_level(product)).await.kind(), "GetStockLevel", "{queue:?}");
    let (_, metrics) = http::get(harness.services()[0].address, "/metrics").await.unwrap();
    assert!(!metrics.contains("inventory_reconnects_total{"), "{queue:?}: {metrics}");
}

#[tokio::test]
async fn answers_to_nobody_do_not_hinder_others() {
    let mut harness = Setup::new().start().await;
    let product = harness.product(1000).await;
    for queue in nobodys_queues() {
        let lost = with_answers_to(&queue, product);
        harness.client.send_all(&lost).await;
        harness.next_outcome_of(&lost[0]).await.reservation();
        assert_others_are_answered(&mut harness, product, &queue).await;
    }
    for queue in made_up_addresses() {
        for message in with_answers_to(&queue, product) {
            harness.client.send(&message).await;
            let letter = harness.dead_letter("the dead letter of what cannot be answered").await;
            assert_eq!(letter.header("x-error-code").as_deref(), Some("REPLY_TO_REFUSED"), "{queue:?}");
            assert_eq!(letter.id(), message.id());
        }
        assert_others_are_answered(&mut harness, product, &queue).await;
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_copy_for_the_other_queue_is_dead_lettered_and_the_command_is_done_once() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let queries = harness.site().names.queries.clone();
    let to_queries = AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongString(queries.into())]));
    for header in ["CC", "BCC"] {
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)])
            .straight()
            .with_header(header, to_queries.clone());
        harness.outcome_of(&command).await.reservation();
        // As a query it is none that could be answered.
        harness.assert_refused(&command, "INVALID_MESSAGE", 400).await;
    }
    harness.assert_level(product, 7, 2).await;
    harness.finish().await;
}

/// Its time may be over before the service has it: then it is dead, and otherwise done; never both, and never neither.
#[tokio::test]
async fn a_command_that_expires_at_once_is_done_or_dead() {
    const COMMANDS: i64 = 40;
    let mut harness = Setup::new().start().await;
    let product = harness.product(100).await;
    let letters = harness.site().names.dead_letter.clone();
    let expiring = |_| {
        let mut command = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        command.others = BasicProperties::default().with_expiration("0".into());
        command
    };
    let mut commands: Vec<Message> = (0..COMMANDS).map(expiring).collect();
    harness.client.send_all(&commands).await;
    let done = async || harness.site().database.number("SELECT count(*) FROM command_outcome").await;
    eventually("that each is done or dead", async || {
        done().await + i64::from(harness.client.depth(&letters).await) == COMMANDS
    })
    .await;
    while let Some(letter) = harness.client.try_get(&letters).await {
        let position = commands.iter().position(|command| command.id() == letter.id()).unwrap();
        assert_eq!(letter.body, commands.remove(position).body);
    }
    for command in &commands {
        harness.next_outcome_of(command).await.reservation();
    }
    harness.assert_level(product, 100 - commands.len() as u64, commands.len() as u64).await;
    harness.finish().await;
}

/// All that there is room for, in a dead letter too: every property as long as it can be, and headers that are no UTF-8.
#[tokio::test]
async fn a_dead_letter_of_the_fullest_envelope_is_whole() {
    let mut harness = Harness::start().await;
    let longest = "p".repeat(255);
    let mut message = Message::release("")
        .with_id(&"m".repeat(255))
        .with_correlation(&"c".repeat(255))
        .with_kind("ReleaseInventory")
        .with_header("no UTF-8", AMQPValue::LongString(vec![0xff, 0xfe, 0xc3].into()))
        .with_header(&"h".repeat(255), AMQPValue::LongString("x".repeat(100_000).into()));
    message.queue = Queue::Commands;
    message.others = BasicProperties::default()
        .with_content_type(longest.as_str().into())
        .with_content_encoding(longest.as_str().into())
        .with_priority(255)
        .with_timestamp(u64::MAX >> 1)
        .with_app_id(longest.as_str().into())
        .with_cluster_id(longest.as_str().into());
    harness.client.send(&message).await;
    let letter = harness.assert_refused(&message, "INVALID_MESSAGE", 400).await;
    for (name, value) in message.headers.inner() {
        assert_eq!(letter.raw_header(name.as_str()), Some(value), "{name}");
    }
    let without_headers =
        |properties: &BasicProperties| properties.clone().with_headers(FieldTable::default());
    assert_eq!(without_headers(&letter.properties), without_headers(&message.to_properties()));
    harness.finish().await;
}
