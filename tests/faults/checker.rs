//! The history checker itself: a history that is true, and the same with one lie in it.

use uuid::Uuid;

use crate::support::history::History;
use crate::support::{Harness, Message, Received, Setup};

/// What somebody sent and heard.
struct Heard {
    commands: Vec<Message>,
    events: Vec<Received>,
}

impl Heard {
    /// Two carts for the last units, and one of them gives back what it got.
    async fn by(harness: &mut Harness) -> Self {
        let product = harness.product(3).await;
        let reserve = Message::reserve(Uuid::new_v4(), &[(product, 3)]);
        let reserved = harness.outcome_of(&reserve).await;
        let too_much = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        let unavailable = harness.outcome_of(&too_much).await;
        let release = Message::release(&reserved.reservation());
        harness.client.send(&release).await;
        let released = harness.next_movement_of(&release).await;
        let mut events = vec![reserved, unavailable, released];
        for _ in 0..3 {
            events.push(harness.next_stock_event(product).await);
        }
        Self { commands: vec![reserve, too_much, release], events }
    }

    /// What is found in it, or in what a liar makes of it.
    async fn found(&self, harness: &Harness, lie: impl FnOnce(&mut Vec<Received>)) -> String {
        let mut events = self.events.clone();
        lie(&mut events);
        let mut history = History::default();
        for command in &self.commands {
            history.sends(command);
        }
        for event in &events {
            history.hears_event(event);
        }
        history.violations(&harness.site().database).await.join("\n")
    }
}

/// Puts other words into an event.
fn reword(event: &mut Received, from: &str, to: &str) {
    let text = String::from_utf8(event.body.clone()).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    event.body = text.replace(from, to).into_bytes();
    event.json = serde_json::from_slice(&event.body).unwrap();
}

#[tokio::test]
async fn a_true_history_is_believed_and_every_lie_is_found() {
    let mut harness = Setup::new().start().await;
    let heard = Heard::by(&mut harness).await;
    assert_eq!(heard.found(&harness, |_| {}).await, "");
    let missing = heard.found(&harness, |events| _ = events.remove(0)).await;
    assert!(missing.contains("was told None") && missing.contains("nobody has reserved that"), "{missing}");
    let unmoved = heard.found(&harness, |events| _ = events.remove(2)).await;
    assert!(unmoved.contains("a step that nobody was told of"), "{unmoved}");
    let other_words = heard.found(&harness, |events| {
        let mut again = events[0].clone();
        reword(&mut again, "\"quantity\":3", "\"quantity\":2");
        events.push(again);
    });
    let other_words = other_words.await;
    assert!(other_words.contains("told again with other words"), "{other_words}");
    let unjustified =
        heard.found(&harness, |events| reword(&mut events[1], "\"requested\":1", "\"requested\":2")).await;
    assert!(unjustified.contains("fell short"), "{unjustified}");
    let too_much =
        heard.found(&harness, |events| reword(&mut events[0], "\"quantity\":3", "\"quantity\":4")).await;
    assert!(too_much.contains("below zero"), "{too_much}");
    let untold = heard.found(&harness, |events| _ = events.pop()).await;
    assert!(untold.contains("version"), "{untold}");

    let database = &harness.site().database;
    database.execute("UPDATE stock SET on_hand = on_hand + 1").await;
    let found = heard.found(&harness, |_| {}).await;
    assert!(found.contains("the history says"), "{found}");
    database.execute("UPDATE stock SET on_hand = on_hand - 1").await;
    database
        .execute(
            "UPDATE command_outcome SET answer_id = gen_random_uuid() WHERE outcome = 'InventoryUnavailable'",
        )
        .await;
    let found = heard.found(&harness, |_| {}).await;
    assert!(found.contains("and was told"), "{found}");
}
