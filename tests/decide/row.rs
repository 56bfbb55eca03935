//! A row of the table `reservation`: parts are kept only where the state alone does not tell them.

use chrono::{DateTime, Utc};
use inventory_service::domain::{
    CartId, Hold, Line, Lines, OrderId, ProductId, Reservation, ReservationId, State,
};

use super::names::name;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    state: State,
    hold: Option<HoldColumns>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct HoldColumns {
    cart: CartId,
    order: Option<OrderId>,
    products: Vec<ProductId>,
    quantities: Vec<u64>,
    released: Option<Vec<u64>>,
    consumed: Option<Vec<u64>>,
    reserved_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    reserved_by: Option<Vec<u8>>,
    is_amended: bool,
}

impl Row {
    pub fn of(reservation: &Reservation) -> Self {
        let Reservation { hold, state, .. } = reservation;
        assert!(
            hold.is_some() || matches!(state, State::Released { .. }),
            "reservation_complete_or_early_release"
        );
        Self { state: *state, hold: hold.as_ref().map(|hold| HoldColumns::of(hold, *state)) }
    }

    pub fn reservation(&self, id: ReservationId) -> Reservation {
        let hold = self.hold.as_ref().map(|columns| columns.hold(self.state));
        Reservation { id, hold, state: self.state }
    }

    /// The cart, while it holds this.
    pub fn live_cart(&self) -> Option<CartId> {
        self.hold.as_ref().filter(|_| self.state == State::Held).map(|hold| hold.cart)
    }
}

impl HoldColumns {
    fn of(hold: &Hold, state: State) -> Self {
        let column = |units: fn(&Line) -> u64| hold.lines.iter().map(units).collect::<Vec<u64>>();
        let has_parts = hold.lines.iter().any(|line| is_told_apart(line, state));
        Self {
            cart: hold.cart,
            order: hold.order,
            products: hold.lines.iter().map(|line| line.product).collect(),
            quantities: column(Line::quantity),
            released: has_parts.then(|| column(|line| line.released)),
            consumed: has_parts.then(|| column(|line| line.consumed)),
            reserved_at: hold.reserved_at,
            expires_at: hold.expires_at,
            reserved_by: hold.reserved_by.clone(),
            is_amended: hold.is_amended,
        }
    }

    fn hold(&self, state: State) -> Hold {
        let lines = self.products.iter().zip(&self.quantities).enumerate();
        let part = |units: &Option<Vec<u64>>, index: usize| units.as_ref().map(|units| units[index]);
        let line = |(index, (product, quantity)): (usize, (&ProductId, &u64))| {
            let (released, consumed) = match (part(&self.released, index), part(&self.consumed, index)) {
                (Some(released), Some(consumed)) => (released, consumed),
                _ => all_or_none(*quantity, state),
            };
            Line { product: *product, open: quantity - released - consumed, released, consumed }
        };
        Hold {
            cart: self.cart,
            order: self.order,
            lines: lines.map(line).collect::<Lines>(),
            reserved_at: self.reserved_at,
            expires_at: self.expires_at,
            reserved_by: self.reserved_by.clone(),
            is_amended: self.is_amended,
        }
    }
}

/// What became of a line without parts: released and consumed.
fn all_or_none(quantity: u64, state: State) -> (u64, u64) {
    match state {
        State::Held => (0, 0),
        State::Released { .. } if state.is_lapsed() => (0, 0),
        State::Released { .. } => (quantity, 0),
        State::Consumed { .. } => (0, quantity),
    }
}

fn is_told_apart(line: &Line, state: State) -> bool {
    match state {
        State::Held => line.released + line.consumed > 0,
        State::Released { .. } if state.is_lapsed() => line.released + line.consumed > 0,
        State::Released { .. } => line.consumed > 0,
        State::Consumed { .. } => line.released > 0,
    }
}

/// Final states are final, a hold never ends earlier than was promised, and parts are never taken back.
pub fn check_successor(former: &Reservation, now: &Reservation) {
    let id = name(now.id.0);
    let (Some(old), Some(new)) = (&former.hold, &now.hold) else {
        panic!("{id} was released before it was reserved, which is final");
    };
    assert_eq!((old.cart, &old.reserved_by), (new.cart, &new.reserved_by), "whose {id} is");
    assert!(new.is_amended || !old.is_amended, "{id} was amended");
    assert!(!is_earlier(new.expires_at, old.expires_at), "the end of {id}");
    for line in old.lines.iter() {
        let later = new.lines.iter().find(|later| later.product == line.product);
        let (released, consumed) = later.map_or((0, 0), |later| (later.released, later.consumed));
        assert!(released >= line.released && consumed >= line.consumed, "the parts of {id} grow");
    }
    match (former.state, now.state) {
        (State::Held, _) => {}
        (lapsed, State::Consumed { .. }) if lapsed.is_lapsed() => {}
        (lapsed, state) if lapsed.is_lapsed() => assert_eq!(lapsed, state, "{id} stays lapsed"),
        _ => panic!("{id} had ended"),
    }
}

/// No end is the latest.
fn is_earlier(end: Option<DateTime<Utc>>, than: Option<DateTime<Utc>>) -> bool {
    match (end, than) {
        (Some(end), Some(than)) => end < than,
        (Some(_), None) => true,
        (None, _) => false,
    }
}
