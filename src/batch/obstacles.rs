//! What somebody else has locked for long: the commands that need it wait, and their neighbours do not wait with them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Bookkeeper;
use super::bookkeeper::{LAPSED_AT_ONCE, LAPSED_LINES, products, reservations_and_carts};
use crate::domain::{Command, Item, Items, Lines, Request, Reservation, State};
use crate::storage::{StorageError, lapsing, reservation, stock};

/// Rows that somebody else has locked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Obstacles {
    pub(super) reservations: BTreeSet<Uuid>,
    pub(super) products: BTreeSet<Uuid>,
}

impl Obstacles {
    pub(super) fn is_empty(&self) -> bool {
        self.reservations.is_empty() && self.products.is_empty()
    }
}

/// Pause between two waits for what is known to be locked.
const QUEUEING_PAUSE: Duration = Duration::from_secs(2);

/// Longest such wait.
const QUEUEING_MAX: Duration = Duration::from_millis(100);

/// What somebody else had locked, when last looked at.
#[derive(Debug, Clone, Default)]
pub struct KnownObstacles(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    obstacles: Obstacles,
    /// The product that was last queued for, and when.
    queued: Option<(Uuid, Instant)>,
}

impl KnownObstacles {
    pub(super) fn get(&self) -> Obstacles {
        self.lock().obstacles.clone()
    }

    pub(super) fn add(&self, found: &Obstacles) {
        let known = &mut self.lock().obstacles;
        known.reservations.extend(&found.reservations);
        known.products.extend(&found.products);
    }

    pub(super) fn set(&self, found: Obstacles) {
        self.lock().obstacles = found;
    }

    /// The product to queue for, each in turn, where it is time for that.
    fn next_to_queue_for(&self) -> Option<Uuid> {
        let mut known = self.lock();
        let last = known.queued.map_or(Uuid::nil(), |(last, _)| last);
        if known.queued.is_some_and(|(_, at)| at.elapsed() < QUEUEING_PAUSE) {
            return None;
        }
        let products = &known.obstacles.products;
        let next =
            products.range((Excluded(last), Unbounded)).next().or_else(|| products.first()).copied()?;
        known.queued = Some((next, Instant::now()));
        Some(next)
    }

    fn forget(&self, product: Uuid) {
        self.lock().obstacles.products.remove(&product);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was found of what some commands are about, without waiting for anybody.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) obstacles: Obstacles,
    holds: BTreeMap<Uuid, Reservation>,
    live_holds: BTreeMap<Uuid, Uuid>,
    /// Products of lapsed holds that cannot be given back now, which is what a command needs that falls short: what there is
    /// of them without.
    room: BTreeMap<Uuid, u64>,
}

impl Survey {
    /// Carts, and the hold that is live of each.
    pub(super) fn live_holds(&self) -> impl Iterator<Item = (Uuid, Uuid)> {
        self.live_holds.iter().map(|(cart, hold)| (*cart, *hold))
    }

    /// Whether a command would have to wait. Asked of each in turn: what one takes is not there for the next.
    pub(super) fn hinders(&mut self, request: &Request) -> bool {
        let (ids, carts) = reservations_and_carts(&[request], &[]);
        let live = carts.iter().filter_map(|cart| self.live_holds.get(cart).copied());
        let ids: Vec<Uuid> = ids.into_iter().chain(live).collect();
        let holds: Vec<Reservation> = ids.iter().filter_map(|id| self.holds.get(id).cloned()).collect();
        let needed = products(&[request], &holds);
        ids.iter().any(|id| self.obstacles.reservations.contains(id))
            || needed.iter().any(|product| self.obstacles.products.contains(product))
            || !self.has_room_for(&request.command)
    }

    fn has_room_for(&mut self, command: &Command) -> bool {
        if self.room.is_empty() {
            return true;
        }
        let (items, own) = match command {
            Command::Reserve(reserve) => {
                let own = self.live_holds.get(&reserve.cart.0).and_then(|id| self.lines(*id));
                (Some(reserve.items.clone()), own.map(Lines::open).unwrap_or_default())
            }
            Command::Consume(consume) => {
                let lapsed = self.holds.get(&consume.reservation.0).filter(|hold| hold.state.is_lapsed());
                let open = lapsed.and_then(|hold| self.lines(hold.id.0)).map(Lines::open);
                (open.map(|open| consume.items.clone().unwrap_or(open)), Items::default())
            }
            Command::Release(_) | Command::Extend(_) => (None, Items::default()),
        };
        let own: BTreeMap<Uuid, u64> = own.iter().map(|item| (item.product.0, item.quantity)).collect();
        let more = |item: &Item| {
            let own = own.get(&item.product.0).copied().unwrap_or(0);
            (item.product.0, item.quantity.saturating_sub(own))
        };
        let taken: Vec<(Uuid, u64)> = items.iter().flat_map(Items::iter).map(more).collect();
        let has_room =
            taken.iter().all(|(product, units)| self.room.get(product).is_none_or(|room| room >= units));
        for (product, units) in taken {
            if let Some(room) = self.room.get_mut(&product).filter(|_| has_room) {
                *room -= units;
            }
        }
        has_room
    }

    fn lines(&self, id: Uuid) -> Option<&Lines> {
        Some(&self.holds.get(&id)?.hold.as_ref()?.lines)
    }

    fn add(&mut self, reservation: Reservation, now: DateTime<Utc>) {
        let id = reservation.id.0;
        if let (State::Held, Some(hold)) = (reservation.state, &reservation.hold) {
            self.live_holds.insert(hold.cart.0, id);
            let products = products(&[], std::slice::from_ref(&reservation));
            let is_lapsed = hold.expires_at.is_some_and(|end| end <= now);
            let is_locked = self.obstacles.reservations.contains(&id)
                || products.iter().any(|product| self.obstacles.products.contains(product));
            if is_lapsed && is_locked {
                self.room.extend(products.into_iter().map(|product| (product, 0)));
            }
        }
        self.holds.insert(id, reservation);
    }
}

impl Bookkeeper {
    /// Queues for a moment for one of these products, now and then. Where replicas crowd for it the lock goes from one
    /// to the next, and who only looks never finds it free.
    pub(super) async fn queue_for_one(&self, known: &KnownObstacles) -> Result<(), StorageError> {
        let Some(product) = known.next_to_queue_for() else { return Ok(()) };
        let queueing = async {
            let mut transaction = self.database.begin().await?;
            let locked = stock::lock_within(transaction.connection()?, product, QUEUEING_MAX).await;
            transaction.rollback().await?;
            locked
        };
        match self.database.in_time(queueing).await {
            Ok(()) => known.forget(product),
            Err(StorageError::TooSlow(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Looks which rows somebody else has locked: of all that these commands need, or only of those that were locked
    /// before. Others may be so for a moment, and are worth the wait.
    pub(super) async fn survey(
        &self,
        requests: &[&Request],
        before: Option<&Obstacles>,
    ) -> Result<Survey, StorageError> {
        self.database.in_time(self.look(requests, before)).await
    }

    async fn look(&self, requests: &[&Request], before: Option<&Obstacles>) -> Result<Survey, StorageError> {
        let mut transaction = self.database.begin().await?;
        let now = transaction.now().await?;
        let connection = transaction.connection()?;
        let (mut ids, carts) = reservations_and_carts(requests, &[]);
        let asked = products(requests, &[]);
        if !asked.is_empty() {
            let (at_once, lines) = (LAPSED_AT_ONCE, LAPSED_LINES);
            ids.extend(lapsing::due_of_products(connection, &asked, &[], None, now, at_once, lines).await?);
        }
        ids.extend(before.into_iter().flat_map(|before| &before.reservations));
        let mut holds = reservation::read(connection, &ids, &carts, &[]).await?;
        // Of a cart without a live hold the latest reservation is read, which does not matter.
        holds.retain(|hold| hold.state == State::Held || ids.contains(&hold.id.0));
        let suspects: Vec<Uuid> = match before {
            Some(before) => before.reservations.iter().copied().collect(),
            None => holds.iter().map(|hold| hold.id.0).collect(),
        };
        let free = reservation::lock_free(connection, &suspects).await?;
        let wanted = match before {
            Some(before) => before.products.iter().copied().collect(),
            None => products(requests, &holds),
        };
        let busy = stock::busy(&mut *connection, &wanted).await?;
        let free: BTreeSet<Uuid> = free.iter().map(|hold| hold.id.0).collect();
        let locked =
            holds.iter().map(|hold| hold.id.0).filter(|id| suspects.contains(id) && !free.contains(id));
        let obstacles = Obstacles { reservations: locked.collect(), products: busy.into_iter().collect() };
        let mut survey = Survey { obstacles, ..Survey::default() };
        for hold in holds {
            survey.add(hold, now);
        }
        if !survey.room.is_empty() {
            let lapsed: Vec<Uuid> = survey.room.keys().copied().collect();
            let levels = stock::read(connection, &lapsed).await?;
            survey.room.extend(levels.into_iter().map(|(product, level)| (product.0, level.available())));
        }
        // Whoever waits for what was free goes on.
        transaction.rollback().await?;
        Ok(survey)
    }
}
