//! Who waits for which answer: answers are matched to questions by correlation id.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lapin::message::Delivery;
use tokio::sync::oneshot;

/// Where a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The events exchange: the record of what happened.
    Event,
    /// Sent to us alone through `reply_to`, at best effort.
    Reply,
}

/// An answer as it came: its `type` property and its body.
#[derive(Debug)]
pub struct Answer {
    pub kind: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// The `type` of every reply which says that something was wrong.
    pub const PROBLEM: &'static str = "Error";

    fn read(delivery: Delivery) -> Self {
        let kind = delivery.properties.kind().as_ref();
        Self { kind: kind.map(ToString::to_string).unwrap_or_default(), body: delivery.data }
    }
}

struct Waiter {
    answered_by: Source,
    answer: oneshot::Sender<Answer>,
}

/// The questions under way, by correlation id.
#[derive(Clone, Default)]
pub struct Waiting(Arc<Mutex<HashMap<String, Waiter>>>);

impl Waiting {
    /// Has to be called before the question is sent, or the answer could be faster.
    pub fn register(&self, correlation_id: &str, answered_by: Source) -> Ticket {
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { answered_by, answer: sender };
        self.lock().insert(correlation_id.to_owned(), waiter);
        Ticket { correlation_id: correlation_id.to_owned(), waiting: self.clone(), answer }
    }

    /// Hands a message to the one who waits for it.
    ///
    /// Most events on a busy exchange are other clients', an event may come more than once, and a reserve's
    /// outcome comes as a reply as well: whatever nobody waits for (any more) is passed over.
    pub fn deliver(&self, source: Source, delivery: Delivery) {
        let Some(correlation_id) = delivery.properties.correlation_id().clone() else {
            return;
        };
        let answer = Answer::read(delivery);
        if let Some(waiter) = self.take(correlation_id.as_str(), source, &answer.kind) {
            // Nobody there any more: the asker gave up in this very moment.
            let _ = waiter.answer.send(answer);
        }
    }

    fn take(&self, correlation_id: &str, source: Source, kind: &str) -> Option<Waiter> {
        let mut waiting = self.lock();
        let wanted = waiting.get(correlation_id)?.answered_by == source;
        let problem = source == Source::Reply && kind == Answer::PROBLEM;
        if wanted || problem { waiting.remove(correlation_id) } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Waiter>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to one answer; dropping it ends the waiting, also when the asking task is cancelled.
pub struct Ticket {
    correlation_id: String,
    waiting: Waiting,
    pub answer: oneshot::Receiver<Answer>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.lock().remove(&self.correlation_id);
    }
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;

    use super::*;

    fn message(correlation_id: &str, kind: &str) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, b"{}".to_vec());
        delivery.properties =
            BasicProperties::default().with_correlation_id(correlation_id.into()).with_type(kind.into());
        delivery
    }

    #[test]
    fn an_outcome_is_taken_from_the_event_and_not_from_its_copy() {
        let waiting = Waiting::default();
        let mut ticket = waiting.register("a", Source::Event);
        waiting.deliver(Source::Event, message("b", "InventoryReserved"));
        waiting.deliver(Source::Reply, message("a", "InventoryReserved"));
        assert!(ticket.answer.try_recv().is_err());
        waiting.deliver(Source::Event, message("a", "InventoryReserved"));
        waiting.deliver(Source::Event, message("a", "InventoryReserved"));
        assert!(ticket.answer.try_recv().is_ok_and(|a| a.kind == "InventoryReserved"));
    }

    #[test]
    fn a_problem_ends_the_waiting_for_an_event() {
        let waiting = Waiting::default();
        let mut ticket = waiting.register("a", Source::Event);
        waiting.deliver(Source::Reply, message("a", Answer::PROBLEM));
        assert!(ticket.answer.try_recv().is_ok_and(|a| a.kind == Answer::PROBLEM));
    }

    #[test]
    fn a_dropped_ticket_leaves_nothing_behind() {
        let waiting = Waiting::default();
        drop(waiting.register("a", Source::Reply));
        assert!(waiting.lock().is_empty());
    }
}
