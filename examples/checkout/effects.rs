//! What playing an invoice led to: each function here is one conversation with the service.

use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::{
    carts::{HeldCart, Part, Quantities, add_up},
    client::{
        ClientError, InventoryClient,
        messages::{
            ConsumeInventory, InventoryReserved, InventoryUnavailable, Item, Outcome, ReleaseInventory,
            ReleaseReason, ReserveInventory, Status,
        },
    },
    ids::{self, Run},
    invoices::Invoice,
};

/// An order of so many lines does not fit into one parcel.
const LARGE_ORDER: usize = 20;

#[derive(Debug)]
pub enum Effect {
    Reserved(HeldCart),
    Unavailable {
        short: usize,
    },
    /// No outcome in time, and released under the id that we had chosen for it.
    GivenUp,
    Released(Part),
    Shipped(Part),
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

/// Gives back some of what a cart holds, or all of it; what the command does not name stays held.
pub async fn release(client: &InventoryClient, part: Part) -> Result<Timed, ClientError> {
    let command = ReleaseInventory {
        reservation_id: part.cart.reservation_id,
        reason: ReleaseReason::OrderCancelled,
        items: (!part.is_all()).then(|| items(&part)),
    };
    let sent = Instant::now();
    let answer = client.release(&command).await;
    Ok(timed(settled(part, Status::Released, answer, Effect::Released)?, sent))
}

/// The goods leave the house: those of a large order in two shipments, those of another all at once.
pub async fn ship(client: &InventoryClient, mut order: HeldCart) -> Result<Vec<Timed>, ClientError> {
    let mut effects = Vec::new();
    if order.items.len() >= LARGE_ORDER {
        let first = first_half(order);
        order = first.rest();
        let named = Some(items(&first));
        effects.push(consume(client, first, named).await?);
    }
    let last = Part::all(order);
    // After a first shipment the items could be left out just as well; with them the service would refuse us
    // if it held less than we believe.
    let named = (!effects.is_empty()).then(|| items(&last));
    effects.push(consume(client, last, named).await?);
    Ok(effects)
}

fn first_half(order: HeldCart) -> Part {
    let lines = order.items.len() / 2;
    let items = order.items.iter().take(lines).map(|(&product, &units)| (product, units)).collect();
    Part { cart: order, items }
}

/// Without items all that is held.
async fn consume(
    client: &InventoryClient,
    part: Part,
    items: Option<Vec<Item>>,
) -> Result<Timed, ClientError> {
    let command = ConsumeInventory { reservation_id: part.cart.reservation_id, items };
    let sent = Instant::now();
    let answer = client.consume(&command).await;
    Ok(timed(settled(part, Status::Consumed, answer, Effect::Shipped)?, sent))
}

/// Nobody knows whether the cart is held, or will be. A release settles it either way: a reserve that turns
/// up after it holds nothing. So it is no fault if the service does not know the reservation yet.
async fn give_up(client: &InventoryClient, cart: &HeldCart) -> Result<Effect, ClientError> {
    let command = ReleaseInventory {
        reservation_id: cart.reservation_id,
        reason: ReleaseReason::CheckoutFailed,
        items: None,
    };
    match client.release(&command).await {
        Ok(_) => Ok(Effect::GivenUp),
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

fn items(part: &Part) -> Vec<Item> {
    part.items.iter().map(|(&product_id, &quantity)| Item { product_id, quantity }).collect()
}

/// Believes the reply, but not blindly: only all that a reservation holds ends it.
fn settled(
    part: Part,
    end: Status,
    answer: Result<Status, ClientError>,
    effect: fn(Part) -> Effect,
) -> Result<Effect, ClientError> {
    let expected = if part.is_all() { end } else { Status::Held };
    match answer {
        Ok(status) if status == expected => Ok(effect(part)),
        Ok(status) => {
            Ok(contradiction(&part.cart, &format!("it is {status:?} where it should be {expected:?}")))
        }
        Err(error) => refused(&part.cart, error),
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
    fn a_reservation_ends_with_the_last_unit_it_holds() -> Result<(), ClientError> {
        let some = Part { cart: cart(), items: Quantities::from([(PRODUCT, 4)]) };
        for (part, status, sound) in [
            (some.clone(), Status::Held, true),
            (some, Status::Consumed, false),
            (Part::all(cart()), Status::Consumed, true),
            (Part::all(cart()), Status::Held, false),
        ] {
            let effect = settled(part, Status::Consumed, Ok(status), Effect::Shipped)?;
            assert_eq!(matches!(effect, Effect::Shipped(_)), sound, "{effect:?}");
        }
        Ok(())
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
