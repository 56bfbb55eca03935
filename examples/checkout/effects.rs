//! What playing an invoice led to: each function here is one conversation with the service.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::{
    carts::{HeldCart, Quantities, add_up},
    client::{
        ClientError, InventoryClient,
        messages::{
            InventoryReserved, InventoryUnavailable, Item, Outcome, ReleaseInventory, ReleaseReason,
            ReserveInventory,
        },
    },
    ids::{self, Run},
    invoices::Invoice,
};

#[derive(Debug)]
pub enum Effect {
    Reserved(HeldCart),
    Unavailable {
        short: usize,
    },
    /// No outcome in time, and released under the id that we had chosen for it.
    GivenUp,
    /// A cart that now holds less.
    Replaced {
        from: HeldCart,
        to: HeldCart,
    },
    Released(HeldCart),
    /// The service understood us, or should have, and would not.
    Refused(String),
    /// The outcome is not one that the contract allows for what we had asked.
    Contradiction(String),
}

/// An effect, and how long it took from send to outcome.
#[derive(Debug)]
pub struct Timed {
    pub effect: Effect,
    pub latency: Duration,
}

/// A cart just as its invoice stands: the service adds up a product that comes twice.
pub async fn reserve(client: &InventoryClient, invoice: &Invoice, run: Run) -> Result<Timed, ClientError> {
    let lines = invoice.lines.iter().map(|line| (line.product, line.units));
    let cart = HeldCart {
        invoice: invoice.number.clone(),
        customer: invoice.customer.clone(),
        cart_id: run.cart(&invoice.number),
        order_id: run.order(&invoice.number),
        reservation_id: Uuid::now_v7(),
        items: add_up(lines.clone()),
    };
    let command = reserve_command(&cart, lines);
    let sent = Instant::now();
    let effect = match client.reserve(&command).await {
        Ok(Outcome::Reserved(event)) => reserved(cart, &event),
        Ok(Outcome::Unavailable(event)) => unavailable(&cart, &event),
        Err(ClientError::NoAnswer { .. }) => give_up(client, &cart).await?,
        Err(error) => refused(&cart, error)?,
    };
    Ok(timed(effect, sent))
}

/// Reserves the same cart again with what remains: the new hold takes the old one's place in one step.
pub async fn shrink(
    client: &InventoryClient,
    from: HeldCart,
    remaining: Quantities,
) -> Result<Timed, ClientError> {
    let to = HeldCart { reservation_id: Uuid::now_v7(), items: remaining, ..from.clone() };
    let lines = to.items.iter().map(|(&product, &units)| (product, units));
    let command = reserve_command(&to, lines);
    let sent = Instant::now();
    let effect = match client.reserve(&command).await {
        Ok(Outcome::Reserved(event)) => match reserved(to, &event) {
            Effect::Reserved(to) => Effect::Replaced { from, to },
            contradiction => contradiction,
        },
        Ok(Outcome::Unavailable(_)) => contradiction(&from, "less than it holds is unavailable"),
        Err(error) => refused(&from, error)?,
    };
    Ok(timed(effect, sent))
}

/// Gives back all that a cart holds.
pub async fn release(
    client: &InventoryClient,
    cart: HeldCart,
    reason: ReleaseReason,
) -> Result<Timed, ClientError> {
    let command = ReleaseInventory { reservation_id: cart.reservation_id, reason };
    let sent = Instant::now();
    let effect = match client.release(&command).await {
        Ok(()) => Effect::Released(cart),
        Err(error) => refused(&cart, error)?,
    };
    Ok(timed(effect, sent))
}

/// Nobody knows whether the cart is held, or will be. A release settles it either way: a reserve that turns
/// up after it holds nothing. So it is no fault if the service does not know the reservation yet.
async fn give_up(client: &InventoryClient, cart: &HeldCart) -> Result<Effect, ClientError> {
    let command =
        ReleaseInventory { reservation_id: cart.reservation_id, reason: ReleaseReason::CheckoutFailed };
    match client.release(&command).await {
        Ok(()) => Ok(Effect::GivenUp),
        Err(ClientError::Refused { problem, .. }) if problem.code == "RESERVATION_NOT_FOUND" => {
            Ok(Effect::GivenUp)
        }
        Err(error) => refused(cart, error),
    }
}

fn reserve_command(cart: &HeldCart, lines: impl Iterator<Item = (Uuid, u64)>) -> ReserveInventory {
    let items = lines.map(|(product_id, quantity)| Item { product_id, quantity });
    ReserveInventory {
        cart_id: cart.cart_id,
        customer_id: cart.customer.as_deref().map(ids::customer),
        items: items.collect(),
        order_id: cart.order_id,
        reservation_id: cart.reservation_id,
    }
}

/// Believes the event, but not blindly.
fn reserved(cart: HeldCart, event: &InventoryReserved) -> Effect {
    let items = add_up(event.items.iter().map(|item| (item.product_id, item.quantity)));
    if items != cart.items {
        return contradiction(&cart, "other items are reserved than were asked for");
    }
    if event.reservation_id != cart.reservation_id {
        return contradiction(&cart, "it is reserved under another id than was asked for");
    }
    Effect::Reserved(cart)
}

fn unavailable(cart: &HeldCart, event: &InventoryUnavailable) -> Effect {
    let short = &event.unavailable_items;
    let true_shortage = |asked: &Quantities| {
        short.iter().all(|item| {
            asked.get(&item.product_id) == Some(&item.requested) && item.available < item.requested
        })
    };
    if short.is_empty() || !true_shortage(&cart.items) {
        return contradiction(cart, "it is unavailable, but not for want of what was asked for");
    }
    Effect::Unavailable { short: short.len() }
}

/// A problem that the service names concerns this cart alone; anything else ends the run.
fn refused(cart: &HeldCart, error: ClientError) -> Result<Effect, ClientError> {
    match error {
        ClientError::Refused { kind, problem } => {
            Ok(Effect::Refused(format!("{kind} for invoice {}: {problem}", cart.invoice)))
        }
        error => Err(error),
    }
}

fn contradiction(cart: &HeldCart, what: &str) -> Effect {
    Effect::Contradiction(format!("invoice {} (cart {}): {what}", cart.invoice, cart.cart_id))
}

fn timed(effect: Effect, sent: Instant) -> Timed {
    Timed { effect, latency: sent.elapsed() }
}

#[cfg(test)]
mod tests {
    use crate::client::messages::UnavailableItem;

    use super::*;

    const PRODUCT: Uuid = Uuid::from_u128(7);

    fn cart() -> HeldCart {
        HeldCart {
            invoice: "1".to_owned(),
            customer: None,
            cart_id: Uuid::from_u128(1),
            order_id: Uuid::from_u128(2),
            reservation_id: Uuid::from_u128(3),
            items: Quantities::from([(PRODUCT, 5)]),
        }
    }

    fn event(quantities: &[u64]) -> InventoryReserved {
        let item = |&quantity| Item { product_id: PRODUCT, quantity };
        InventoryReserved {
            reservation_id: cart().reservation_id,
            items: quantities.iter().map(item).collect(),
        }
    }

    #[test]
    fn an_outcome_may_add_up_lines_but_not_units() {
        assert!(matches!(reserved(cart(), &event(&[2, 3])), Effect::Reserved(_)));
        assert!(matches!(reserved(cart(), &event(&[4])), Effect::Contradiction(_)));
    }

    #[test]
    fn a_shortage_names_what_is_short() {
        let event = |available| InventoryUnavailable {
            unavailable_items: vec![UnavailableItem { product_id: PRODUCT, requested: 5, available }],
        };
        assert!(matches!(unavailable(&cart(), &event(4)), Effect::Unavailable { short: 1 }));
        assert!(matches!(unavailable(&cart(), &event(5)), Effect::Contradiction(_)));
    }
}
