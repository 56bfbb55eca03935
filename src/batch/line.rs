//! Who stands in line behind whom.

use std::collections::HashSet;

use uuid::Uuid;

use crate::domain::{Command, Request};

/// What the commands that wait are about: a later one about the same must not overtake them, or a sender's last word
/// would not be its last.
#[derive(Debug, Default)]
pub(super) struct Line<'a>(HashSet<About<'a>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum About<'a> {
    Cart(Uuid),
    Reservation(Uuid),
    Message(&'a [u8]),
}

impl<'a> Line<'a> {
    /// Whether a command must wait behind one that does; then it does so.
    pub(super) fn holds_back(&mut self, request: &'a Request) -> bool {
        let is_behind = about(request).any(|about| self.0.contains(&about));
        if is_behind {
            self.join(request);
        }
        is_behind
    }

    /// A command waits.
    pub(super) fn join(&mut self, request: &'a Request) {
        self.0.extend(about(request));
    }
}

fn about(request: &Request) -> impl Iterator<Item = About<'_>> {
    let (cart, reservation) = match &request.command {
        Command::Reserve(reserve) => (Some(reserve.cart.0), reserve.reservation),
        Command::Release(release) => (None, Some(release.reservation)),
        Command::Consume(consume) => (None, Some(consume.reservation)),
        Command::Extend(extend) => (None, Some(extend.reservation)),
    };
    let message = request.key.as_ref().map(|key| About::Message(&key.message_id));
    let reservation = reservation.map(|id| About::Reservation(id.0));
    cart.map(About::Cart).into_iter().chain(reservation).chain(message)
}
