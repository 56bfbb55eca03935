//! A dead letter is what came, and why it is dead.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};
use uuid::Uuid;

use crate::support::conformance::time;
use crate::support::{Harness, Message, Received};

/// The headers that tell why.
const REASONS: [&str; 5] =
    ["x-error-code", "x-error-detail", "x-original-exchange", "x-original-routing-key", "x-failed-at"];

fn broken() -> Message {
    Message::reserve(Uuid::new_v4(), &[]).with_body("broken")
}

/// Sends a message that is invalid; gives its dead letter.
async fn dead_letter_of(harness: &mut Harness, message: &Message) -> Received {
    harness.client.send(message).await;
    let letter = harness.assert_refused(message, "INVALID_MESSAGE", 400).await;
    let failed_at = time(&letter.header("x-failed-at").unwrap());
    assert!((inventory_service::clock::wall().timestamp() - failed_at).abs() < 600, "{letter:?}");
    letter
}

/// One header of every kind that AMQP knows.
fn every_kind_of_header(mut message: Message) -> Message {
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Boolean(true)])));
    for (name, value) in [
        ("text", AMQPValue::LongString("täxt".into())),
        ("nul\0key", AMQPValue::LongString("nul\0value".into())),
        ("bytes", AMQPValue::ByteArray(vec![0, 255].into())),
        ("int", AMQPValue::LongInt(-5)),
        ("long", AMQPValue::LongLongInt(1 << 40)),
        ("double", AMQPValue::Double(1.5)),
        ("decimal", AMQPValue::DecimalValue(DecimalValue { scale: 2, value: 1234 })),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
        ("void", AMQPValue::Void),
        ("table", AMQPValue::FieldTable(inner)),
        ("traceparent", AMQPValue::LongString("theirs".into())),
        ("cloudEvents:id", AMQPValue::LongString("theirs".into())),
    ] {
        message = message.with_header(name, value);
    }
    message
}

#[tokio::test]
async fn keeps_every_property_and_header() {
    let mut harness = Harness::start().await;
    let mut message = every_kind_of_header(broken())
        .with_correlation("theirs")
        .with_reply_to(&harness.client.replies.queue);
    message.others = BasicProperties::default()
        .with_content_type("application/x-other".into())
        .with_content_encoding("identity".into())
        .with_delivery_mode(1)
        .with_priority(5)
        .with_timestamp(1_700_000_000)
        .with_app_id("checkout".into())
        .with_cluster_id("theirs".into());

    for message in [message.clone(), message.straight()] {
        let letter = dead_letter_of(&mut harness, &message).await;
        for (name, value) in message.headers.inner() {
            assert_eq!(letter.raw_header(name.as_str()), Some(value), "{name}");
        }
        let added: Vec<&str> = letter
            .header_names()
            .into_iter()
            .filter(|name| !message.headers.contains_key(name) && !REASONS.contains(name))
            .collect();
        assert!(added.is_empty() || added == ["x-delivery-count"], "{added:?}");
        let without_headers =
            |properties: &BasicProperties| properties.clone().with_headers(FieldTable::default());
        assert_eq!(without_headers(&letter.properties), without_headers(&message.to_properties()));
    }
    harness.finish().await;
}

#[tokio::test]
async fn tells_where_it_came_from() {
    let mut harness = Harness::start().await;
    let names = harness.site().names.clone();
    let letter = dead_letter_of(&mut harness, &broken()).await;
    assert_eq!(letter.header("x-original-exchange"), Some(names.commands.clone()));
    assert_eq!(letter.header("x-original-routing-key").as_deref(), Some("reserve-inventory"));

    let letter = dead_letter_of(&mut harness, &broken().straight()).await;
    assert_eq!(letter.header("x-original-exchange").as_deref(), Some(""));
    assert_eq!(letter.header("x-original-routing-key"), Some(names.commands));
    harness.finish().await;
}

#[tokio::test]
async fn comes_with_hardly_any_property() {
    let mut harness = Harness::start().await;
    let mut bare = broken().without_id();
    bare.others = BasicProperties::default();
    bare.kind = None;
    let letter = dead_letter_of(&mut harness, &bare).await;
    assert_eq!(letter.properties.clone().with_headers(FieldTable::default()), {
        BasicProperties::default().with_headers(FieldTable::default())
    });
    harness.finish().await;
}

#[tokio::test]
async fn what_would_act_on_the_broker_is_kept_by_another_name() {
    let mut harness = Harness::start().await;
    // Where the sender's copies would go a second time, were CC and BCC sent on.
    let (mut copies, mut blind) =
        (harness.client.subscribed_to(&[]).await, harness.client.subscribed_to(&[]).await);
    let to = |queue: &str| AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::LongString(queue.into())]));
    let mut message = broken()
        .straight()
        .with_header("CC", to(&copies.queue))
        .with_header("BCC", to(&blind.queue))
        .with_header("cc", AMQPValue::LongString("in lower case it is a header like any other".into()));
    let user = user_of(&harness.site().servers.amqp_url);
    message.others =
        BasicProperties::default().with_expiration("3600000".into()).with_user_id(user.as_str().into());

    let letter = dead_letter_of(&mut harness, &message).await;
    assert_eq!(letter.raw_header("x-original-cc"), Some(&to(&copies.queue)));
    assert!(letter.raw_header("CC").is_none() && letter.raw_header("BCC").is_none());
    assert!(letter.header("cc").is_some());
    assert_eq!(letter.header("x-original-expiration").as_deref(), Some("3600000"));
    assert_eq!(letter.header("x-original-user-id"), Some(user));
    assert!(letter.properties.expiration().is_none() && letter.properties.user_id().is_none());
    for inbox in [&mut copies, &mut blind] {
        let arrived = inbox.raw_rest().await;
        assert_eq!(arrived.len(), 1, "the sender's own copy, and no other: {arrived:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn the_reasons_cannot_be_forged() {
    let mut harness = Harness::start().await;
    let mut message = broken();
    for name in REASONS.into_iter().chain(["x-original-expiration"]) {
        message = message.with_text_header(name, "forged");
    }
    message.others = BasicProperties::default().with_expiration("600000".into());
    let letter = dead_letter_of(&mut harness, &message).await;
    for name in REASONS.into_iter().chain(["x-original-expiration"]) {
        assert_ne!(letter.header(name).as_deref(), Some("forged"), "{name}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn headers_as_deep_as_the_client_library_bears_harm_nobody() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let mut value = AMQPValue::Void;
    for _ in 0..90 {
        let mut table = FieldTable::default();
        table.insert("t".into(), value);
        value = AMQPValue::FieldTable(table);
    }
    let good = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_header("deep", value.clone());
    harness.outcome_of(&good).await.reservation();
    let message = broken().with_header("deep", value.clone());
    assert_eq!(dead_letter_of(&mut harness, &message).await.raw_header("deep"), Some(&value));
    harness.finish().await;
}

fn user_of(url: &str) -> String {
    let login = url.split_once("://").and_then(|(_, rest)| rest.split_once(':'));
    login.expect("a URL with a user").0.to_owned()
}
