//! The same command again: answered with the very same reply, and told with the very same event. What holds for
//! reserves is in `idempotency`; here it is what becomes of holds.

use uuid::Uuid;

use crate::support::{Harness, Message, Received, Setup};

/// A message told again: the very same.
fn assert_same(first: &Received, again: &Received) {
    assert_eq!((again.kind(), again.id(), &again.body), (first.kind(), first.id(), &first.body));
    assert_eq!(again.header("cloudEvents:time"), first.header("cloudEvents:time"));
    assert_eq!(again.header("cloudEvents:subject"), first.header("cloudEvents:subject"));
    assert_eq!(again.properties.timestamp(), first.properties.timestamp());
}

/// Sends a command for the first time; gives the reply and, where it moves something, the event.
async fn first(harness: &mut Harness, command: &Message, moves: bool) -> (Received, Option<Received>) {
    harness.client.send(command).await;
    let reply = harness.next_reply_to(command).await;
    let event = if moves { Some(harness.next_movement_of(command).await) } else { None };
    (reply, event)
}

/// Sends it again, once alone and then several times in one batch.
async fn assert_repeated(harness: &mut Harness, command: &Message, told: &(Received, Option<Received>)) {
    for copies in [1, 4] {
        harness.client.send_all(&vec![command.clone(); copies]).await;
        for _ in 0..copies {
            assert_same(&told.0, &harness.next_reply_to(command).await);
            if let Some(event) = &told.1 {
                assert_same(event, &harness.next_movement_of(command).await);
            }
        }
    }
    assert!(harness.client.movements.rest().await.is_empty(), "nothing else: {}", command.describe());
}

#[tokio::test]
async fn each_step_of_a_hold_is_done_once_and_told_the_same_again() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 8)]).with("holdSeconds", 600);
    let id = harness.outcome_of(&reserve).await.reservation();
    let replies = harness.client.replies.queue.clone();
    let steps = [
        (Message::release(&id).of(&[(product, 1)]).with("reason", "ORDER_CANCELLED"), true),
        (Message::consume(&id).of(&[(product, 2)]), true),
        (Message::extend(&id, 900), false),
        (Message::consume(&id).of(&[(product, 9)]), false),
        (Message::release(&id).of(&[(product, 9)]), false),
        (Message::consume(&id), true),
        (Message::consume(&id), false),
        (Message::release(&id), false),
        (Message::extend(&id, 60), false),
    ];
    let mut done = Vec::new();
    for (command, moves) in steps {
        let command = command.with_reply_to(&replies);
        let told = first(&mut harness, &command, moves).await;
        assert_repeated(&mut harness, &command, &told).await;
        done.push((command, told));
    }
    harness.assert_level(product, 2, 0).await;
    // And once more, when everything is over: what was refused as well.
    for (command, told) in &done {
        assert_repeated(&mut harness, command, told).await;
    }
    harness.assert_level(product, 2, 0).await;
    harness.finish().await;
}

#[tokio::test]
async fn what_was_refused_stays_refused_whatever_happened_since() {
    let setup = Setup::new().with("INVENTORY__EXPIRY__SWEEP_INTERVAL_MS", "60000");
    let mut harness = setup.start().await;
    let product = harness.product(3).await;
    let reserve = Message::reserve(Uuid::new_v4(), &[(product, 3)]).with("holdSeconds", 600);
    let id = harness.outcome_of(&reserve).await.reservation();
    harness.site().database.execute("UPDATE reservation SET expires_at = clock_timestamp()").await;
    let other = harness.reserve(Uuid::new_v4(), &[(product, 1)]).await.reservation();
    harness.lapse_of(&id).await;

    let late = Message::consume(&id).with_reply_to(&harness.client.replies.queue);
    let refused = first(&mut harness, &late, false).await;
    refused.0.assert_problem("HOLD_LAPSED", 409);
    let unknown =
        Message::extend(&Uuid::new_v4().to_string(), 9).with_reply_to(&harness.client.replies.queue);
    let not_found = first(&mut harness, &unknown, false).await;
    not_found.0.assert_problem("RESERVATION_NOT_FOUND", 404);

    // Now it would be possible, to another command.
    harness.ask(Message::release(&other)).await;
    harness.client.movements.next("the release").await;
    assert_repeated(&mut harness, &late, &refused).await;
    assert_repeated(&mut harness, &unknown, &not_found).await;
    let consumed = harness.ask(Message::consume(&id)).await;
    assert_eq!(consumed.json["takenAgain"], true, "{consumed:?}");
    harness.finish().await;
}

#[tokio::test]
async fn the_same_id_for_another_command_is_a_fault() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let id = harness.reserve(Uuid::new_v4(), &[(product, 5)]).await.reservation();
    let replies = harness.client.replies.queue.clone();
    let original = Message::consume(&id).of(&[(product, 1)]).with_reply_to(&replies);
    let told = first(&mut harness, &original, true).await;
    // The same body, of another type; and another body.
    let mut other_kind = Message::release(&id).with_body(original.body.clone());
    other_kind.id.clone_from(&original.id);
    for forgery in [other_kind, Message::consume(&id).with_id(original.id())] {
        let forgery = forgery.with_reply_to(&replies);
        harness.client.send(&forgery).await;
        harness.assert_refused(&forgery, "MESSAGE_ID_REUSED", 409).await;
    }
    assert_repeated(&mut harness, &original, &told).await;
    harness.assert_level(product, 4, 4).await;
    harness.finish().await;
}

#[tokio::test]
async fn copies_to_two_replicas_at_once_move_stock_once() {
    // One message at a time, so that the copies go to both replicas in turn.
    let setup = Setup::new().replicas(2).with("INVENTORY__AMQP__COMMANDS_PREFETCH", "1");
    let mut harness = setup.patient().start().await;
    let product = harness.product(1000).await;
    let mut commands = Vec::new();
    for _ in 0..15 {
        let id = harness.reserve(Uuid::new_v4(), &[(product, 3)]).await.reservation();
        commands.push(Message::release(&id).of(&[(product, 1)]));
        commands.push(Message::consume(&id).of(&[(product, 1)]));
    }
    let copies: Vec<Message> = commands.iter().flat_map(|command| vec![command.clone(); 3]).collect();
    harness.client.send_all(&copies).await;
    for command in &commands {
        let first = harness.next_movement_of(command).await;
        for _ in 1..3 {
            assert_same(&first, &harness.next_movement_of(command).await);
        }
    }
    harness.assert_level(product, 1000 - 45 + 15, 15).await;
    harness.assert_quiet_log();
    harness.finish().await;
}
