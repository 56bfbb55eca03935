//! Who stands in line behind whom.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use uuid::Uuid;

use super::obstacles::Survey;
use crate::domain::{Command, Request};

/// What the commands that wait are about, and the position of the first of them: a later one about the same must not
/// overtake it, or a sender's last word would not be its last.
#[derive(Debug, Default)]
pub(super) struct Line<'a> {
    first: HashMap<About<'a>, usize>,
    /// Carts and their live holds, either way: to be about one is to be about the other.
    kin: HashMap<Uuid, Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum About<'a> {
    CartOrReservation(Uuid),
    Message(&'a [u8]),
}

impl<'a> Line<'a> {
    /// Learns which live hold is which cart's.
    pub(super) fn learn(&mut self, survey: &Survey) {
        for (cart, hold) in survey.live_holds() {
            self.kin.extend([(cart, hold), (hold, cart)]);
        }
    }

    /// Whether a command must wait behind one that does; then it does so.
    pub(super) fn holds_back(&mut self, request: &'a Request, position: usize) -> bool {
        // As good as always: every command is asked about.
        if self.first.is_empty() {
            return false;
        }
        let about = self.about(request);
        let is_behind =
            about.iter().any(|about| self.first.get(about).is_some_and(|first| *first < position));
        if is_behind {
            self.join(request, position);
        }
        is_behind
    }

    /// A command waits.
    pub(super) fn join(&mut self, request: &'a Request, position: usize) {
        for about in self.about(request) {
            match self.first.entry(about) {
                Entry::Occupied(mut first) => *first.get_mut() = position.min(*first.get()),
                Entry::Vacant(place) => _ = place.insert(position),
            }
        }
    }

    fn about(&self, request: &'a Request) -> Vec<About<'a>> {
        let (cart, reservation) = match &request.command {
            Command::Reserve(reserve) => (Some(reserve.cart.0), reserve.reservation),
            Command::Release(release) => (None, Some(release.reservation)),
            Command::Consume(consume) => (None, Some(consume.reservation)),
            Command::Extend(extend) => (None, Some(extend.reservation)),
        };
        let ids = cart.into_iter().chain(reservation.map(|id| id.0));
        let with_kin = ids.flat_map(|id| [Some(id), self.kin.get(&id).copied()]).flatten();
        let message = request.key.as_ref().map(|key| About::Message(&key.message_id));
        with_kin.map(About::CartOrReservation).chain(message).collect()
    }
}
