//! Contract section 3: what answers take over from a message, and that it is nothing else. What holds for every
//! answer is demanded of every answer, by `support::conformance`.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use crate::support::{Harness, Message, Received};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[tokio::test]
async fn the_correlation_id_is_repeated_or_else_the_message_id() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let reserve = || Message::reserve(Uuid::new_v4(), &[(product, 1)]);

    // The dialogue demands the right correlation id of every answer.
    harness.outcome_of(&reserve()).await.reservation();
    harness.outcome_of(&reserve().with_correlation("invoice 4711")).await.reservation();
    harness.ask(Message::stock_level(product)).await;
    harness.ask(Message::stock_level(product).with_correlation("page 2")).await;

    harness.client.send(&reserve().without_id().with_correlation("only this")).await;
    let event = harness.client.events.next("the event of a command without an id").await;
    assert_eq!((event.correlation_id(), event.causation_id()), (Some("only this"), None), "{event:?}");
    harness.client.send(&reserve().without_id()).await;
    let event = harness.client.events.next("the event of a command without any id").await;
    assert_eq!((event.correlation_id(), event.causation_id()), (None, None), "{event:?}");
    harness.finish().await;
}

#[tokio::test]
async fn ids_are_any_strings_of_1_to_255_bytes() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    for id in ["x", "ä€𝄞 ", "nul\0nul", &"m".repeat(255), "'; DROP TABLE stock; --", "%s{}\\u0041"] {
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)]).with_id(id);
        harness.outcome_of(&command).await.reservation();
        let query = Message::stock_level(product).with_id(id).with_correlation(id);
        assert_eq!(harness.ask(query).await.kind(), "GetStockLevel");
    }
    harness.finish().await;
}

#[tokio::test]
async fn the_reply_to_a_reserve_is_its_event() {
    let mut harness = Harness::start().await;
    let product = harness.product(1).await;
    for (quantity, kind) in [(2, "InventoryUnavailable"), (1, "InventoryReserved")] {
        let command = Message::reserve(Uuid::new_v4(), &[(product, quantity)])
            .with_reply_to(&harness.client.replies.queue)
            .with_text_header("traceparent", &format!("00-{TRACE}-{SPAN}-01"));
        let event = harness.outcome_of(&command).await;
        let reply = harness.next_reply_to(&command).await;
        assert_eq!(event.kind(), kind);
        assert_eq!((&reply.body, &reply.properties), (&event.body, &event.properties));
    }
    harness.finish().await;
}

#[tokio::test]
async fn a_trace_is_continued() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let traced = |message: Message| {
        message
            .with_text_header("traceparent", &format!("00-{TRACE}-{SPAN}-01"))
            .with_text_header("tracestate", "vendor=1,other=2")
    };

    let event = harness.outcome_of(&traced(Message::reserve(Uuid::new_v4(), &[(product, 1)]))).await;
    assert_continues(&event);
    let consume = traced(Message::consume(&event.reservation()));
    assert_continues(&harness.ask(consume.clone()).await);
    assert_continues(&harness.next_movement_of(&consume).await);
    let released = harness.ask(traced(Message::release(&event.reservation()))).await;
    assert_continues(&released);
    let level = harness.ask(traced(Message::stock_level(product))).await;
    assert_continues(&level);
    let problem = harness.ask(traced(Message::stock_level(Uuid::new_v4()))).await;
    problem.assert_problem("PRODUCT_NOT_FOUND", 404);
    assert_continues(&problem);
    harness.finish().await;
}

fn assert_continues(answer: &Received) {
    let parent = answer.header("traceparent").unwrap();
    let fields: Vec<&str> = parent.split('-').collect();
    assert_eq!((fields[1], fields[3]), (TRACE, "01"), "{parent}");
    assert_ne!(fields[2], SPAN, "the span is the service's own");
    assert_eq!(answer.header("tracestate").as_deref(), Some("vendor=1,other=2"));
}

#[tokio::test]
async fn a_trace_that_is_none_harms_nobody() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let long = AMQPValue::LongString("x".repeat(10_000).into());
    let table = AMQPValue::FieldTable(FieldTable::default());
    for value in
        [long, table, AMQPValue::Void, AMQPValue::LongInt(7), AMQPValue::LongString(vec![0xff].into())]
    {
        let command = Message::reserve(Uuid::new_v4(), &[(product, 1)])
            .with_header("traceparent", value.clone())
            .with_header("tracestate", value);
        let event = harness.outcome_of(&command).await;
        assert_eq!(event.header("tracestate"), None, "{event:?}");
    }
    harness.finish().await;
}

#[tokio::test]
async fn nothing_else_is_copied_out() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let overloaded = |mut message: Message| {
        message.others = BasicProperties::default()
            .with_content_type("application/x-other".into())
            .with_content_encoding("identity".into())
            .with_priority(9)
            .with_timestamp(1)
            .with_app_id("checkout".into())
            .with_cluster_id("theirs".into())
            .with_expiration("3600000".into())
            .with_delivery_mode(1);
        message
            .with_text_header("x-custom", "theirs")
            .with_text_header("x-causation-id", "theirs")
            .with_text_header("cloudEvents:id", "theirs")
            .with_text_header("cloudEvents:dataschema", "theirs")
            .with_text_header("schema-version", "theirs")
    };

    let event = harness.outcome_of(&overloaded(Message::reserve(Uuid::new_v4(), &[(product, 1)]))).await;
    let release = overloaded(Message::release(&event.reservation()));
    let answers = [
        harness.ask(overloaded(Message::extend(&event.reservation(), 60))).await,
        harness.ask(release.clone()).await,
        harness.next_movement_of(&release).await,
        harness.ask(overloaded(Message::reservation_by("cartId", event.text("cartId")))).await,
        harness.ask(overloaded(Message::stock_levels(&[product]))).await,
        harness.ask(overloaded(Message::stock_level(product))).await,
        harness.ask(overloaded(Message::stock_level(Uuid::new_v4()))).await,
        event,
    ];
    for answer in answers {
        assert!(!format!("{:?}", answer.properties).contains("theirs"), "{:?}", answer.properties);
    }
    harness.finish().await;
}

#[tokio::test]
async fn the_type_decides_and_where_it_is_missing_the_routing_key() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let untyped = |mut message: Message| {
        message.kind = None;
        message
    };

    let event = harness.outcome_of(&untyped(Message::reserve(Uuid::new_v4(), &[(product, 1)]))).await;
    let id = event.reservation();
    for (message, kind) in [
        (Message::extend(&id, 60), "ExtendHold"),
        (Message::reservation_by("reservationId", &id), "GetReservation"),
        (Message::release(&id), "ReleaseInventory"),
        (Message::stock_levels(&[product]), "GetStockLevels"),
    ] {
        assert_eq!(harness.ask(untyped(message)).await.kind(), kind);
    }
    let consumption = harness.ask(untyped(Message::consume(&id))).await;
    consumption.assert_problem("RESERVATION_RELEASED", 409);
    assert_eq!(harness.ask(untyped(Message::stock_level(product))).await.json["available"], 9);

    // Straight to the queue the key says nothing.
    harness.outcome_of(&Message::reserve(Uuid::new_v4(), &[(product, 1)]).straight()).await.reservation();
    assert_eq!(harness.ask(Message::stock_level(product).straight()).await.json["available"], 8);

    let mut contradictory = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
    contradictory.routing_key = "release-inventory".to_owned();
    harness.outcome_of(&contradictory).await.reservation();
    harness.finish().await;
}
