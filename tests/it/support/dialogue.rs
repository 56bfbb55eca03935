//! What tests say to the service, and hear from it.

use uuid::Uuid;

use super::{Harness, Message, Received};

/// How much of a product there is, as the service tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub available: u64,
    pub reserved: u64,
}

impl Harness {
    /// Sends a command, and awaits its event.
    pub async fn outcome_of(&mut self, command: &Message) -> Received {
        self.client.send(command).await;
        self.next_outcome_of(command).await
    }

    /// Awaits the event of a command that was sent.
    pub async fn next_outcome_of(&mut self, command: &Message) -> Received {
        let awaited = format!("the event of {}", command.describe());
        let event = self.client.events.next_caused_by(command.id(), &awaited).await;
        assert_eq!(event.correlation_id(), command.correlates_by(), "{event:?}");
        event
    }

    /// Awaits the events of commands that were sent, in the order of these.
    pub async fn next_outcomes_of(&mut self, commands: &[Message]) -> Vec<Received> {
        let mut events = Vec::with_capacity(commands.len());
        for command in commands {
            events.push(self.next_outcome_of(command).await);
        }
        events
    }

    /// Awaits what a command has made of a hold, as others are told.
    pub async fn next_movement_of(&mut self, command: &Message) -> Received {
        let awaited = format!("what came of {}", command.describe());
        let event = self.client.movements.next_caused_by(command.id(), &awaited).await;
        assert_eq!(event.correlation_id(), command.correlates_by(), "{event:?}");
        event
    }

    /// Awaits that a hold has lapsed, as others are told: no message caused it.
    pub async fn lapse_of(&mut self, reservation: &str) -> Received {
        let awaited = format!("the lapse of {reservation}");
        let is_right =
            |event: &Received| event.json["reservationId"] == reservation && event.causation_id().is_none();
        let event = self.client.movements.next_that(&awaited, is_right).await;
        assert_lapsed_by_itself(&event);
        event
    }

    /// Awaits that stock has run out or come back, as others are told.
    pub async fn next_stock_event(&mut self, product: Uuid) -> Received {
        let awaited = format!("that stock of {product} runs out or comes back");
        let is_right = |event: &Received| event.json["productId"] == product.to_string();
        self.client.stock.next_that(&awaited, is_right).await
    }

    /// Reserves for a cart.
    pub async fn reserve(&mut self, cart: Uuid, lines: &[(Uuid, u64)]) -> Received {
        self.outcome_of(&Message::reserve(cart, lines)).await
    }

    /// Sends a message with a `reply_to`, and awaits the reply.
    pub async fn ask(&mut self, message: Message) -> Received {
        let message = message.with_reply_to(&self.client.replies.queue);
        self.client.send(&message).await;
        self.next_reply_to(&message).await
    }

    /// Awaits the reply to a message that was sent.
    pub async fn next_reply_to(&mut self, message: &Message) -> Received {
        let awaited = format!("the reply to {}", message.describe());
        let reply = self.client.replies.next_caused_by(message.id(), &awaited).await;
        assert_eq!(reply.correlation_id(), message.correlates_by(), "{reply:?}");
        reply
    }

    /// Releases, and demands that it is done.
    pub async fn release(&mut self, reservation: &str) {
        let reply = self.ask(Message::release(reservation)).await;
        assert_eq!(reply.kind(), "ReleaseInventory", "{reply:?}");
        assert_eq!(
            (reply.text("reservationId"), reply.text("status")),
            (reservation, "RELEASED"),
            "{reply:?}"
        );
    }

    /// Asks what has become of a reservation.
    pub async fn reservation(&mut self, id: &str) -> Received {
        let reply = self.ask(Message::reservation_by("reservationId", id)).await;
        assert_eq!((reply.kind(), reply.text("reservationId")), ("GetReservation", id), "{reply:?}");
        reply
    }

    /// Asks how much of a product there is.
    pub async fn level(&mut self, product: Uuid) -> Level {
        let reply = self.ask(Message::stock_level(product)).await;
        assert_eq!(reply.kind(), "GetStockLevel", "{reply:?}");
        assert_eq!(reply.text("productId"), product.to_string());
        let units = |field: &str| reply.json[field].as_u64().unwrap();
        Level { available: units("available"), reserved: units("reserved") }
    }

    /// Demands that so much of a product is available and so much reserved.
    pub async fn assert_level(&mut self, product: Uuid, available: u64, reserved: u64) {
        assert_eq!(self.level(product).await, Level { available, reserved });
    }

    /// Takes the next dead letter.
    pub async fn dead_letter(&self, awaited: &str) -> Received {
        self.client.get(&self.site().names.dead_letter, awaited).await
    }

    /// Demands that a message was refused as not understood: a problem for its sender, and a dead letter.
    pub async fn assert_refused(&mut self, message: &Message, code: &str, status: u16) -> Received {
        if message.reply_to.is_some() {
            self.next_reply_to(message).await.assert_problem(code, status);
        }
        let letter = self.dead_letter(&format!("the dead letter of {}", message.describe())).await;
        assert_eq!(letter.header("x-error-code").as_deref(), Some(code), "{letter:?}");
        assert_eq!(letter.body, message.body, "{letter:?}");
        letter
    }
}

/// Demands of an event that it tells of no message.
pub fn assert_lapsed_by_itself(event: &Received) {
    assert_eq!((event.kind(), event.text("reason")), ("InventoryReleased", "EXPIRED"), "{event:?}");
    assert_eq!((event.correlation_id(), event.causation_id()), (None, None), "{event:?}");
    assert_eq!(event.header("tracestate"), None, "{event:?}");
}
