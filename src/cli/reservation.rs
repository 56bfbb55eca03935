//! `inventory reservation show` and `list`.

use std::io::{self, Write};

use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::output::{self, message_id, stdout, written};
use super::stock::open;
use crate::config::Settings;
use crate::contract::rfc3339;
use crate::storage::reservation_view::{self, Filter, Movement, Shown};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireReservation {
    reservation_id: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    cart_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_id: Option<Uuid>,
    status: String,
    items: Vec<WireItem>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reserved_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    movements: Option<Vec<WireMovement>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireItem {
    product_id: Uuid,
    quantity: i64,
    held: i64,
    released: i64,
    consumed: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireMovement {
    at: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    items: Vec<WireMoved>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireMoved {
    product_id: Uuid,
    quantity: i64,
}

impl WireReservation {
    fn new(shown: Shown, movements: Option<Vec<Movement>>) -> Self {
        Self {
            reservation_id: shown.reservation_id,
            cart_id: shown.cart_id,
            order_id: shown.order_id,
            items: items(&shown),
            status: shown.state,
            reserved_at: shown.reserved_at.map(rfc3339),
            expires_at: shown.expires_at.map(rfc3339),
            ended_at: shown.ended_at.map(rfc3339),
            reason: shown.reason,
            movements: movements.map(|movements| movements.into_iter().map(WireMovement::from).collect()),
        }
    }
}

impl From<Movement> for WireMovement {
    fn from(movement: Movement) -> Self {
        let moved = movement.product_ids.iter().zip(&movement.quantities);
        Self {
            at: rfc3339(movement.at),
            kind: movement.kind,
            reason: movement.reason,
            message_id: movement.caused_by.as_deref().map(message_id),
            items: moved
                .map(|(product, quantity)| WireMoved { product_id: *product, quantity: *quantity })
                .collect(),
        }
    }
}

fn items(shown: &Shown) -> Vec<WireItem> {
    let parts = shown.released.iter().zip(&shown.consumed);
    let whole = shown.product_ids.iter().zip(&shown.quantities);
    whole
        .zip(parts)
        .map(|((product, quantity), (released, consumed))| WireItem {
            product_id: *product,
            quantity: *quantity,
            held: quantity - released - consumed,
            released: *released,
            consumed: *consumed,
        })
        .collect()
}

/// Shows a reservation and its movements.
pub(super) async fn show(settings: &Settings, id: Uuid, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let found = database.using(async |connection| reservation_view::find(connection, id).await).await?;
    let shown = found.ok_or_else(|| {
        Failure::No(format!(
            "reservation {id} is not known: nobody has named it, or it is past its retention \
             (retention.reservations_days); `inventory reservation list` shows what there is"
        ))
    })?;
    let movements =
        database.using(async |connection| reservation_view::movements(connection, id).await).await?;
    let shown = WireReservation::new(shown, Some(movements));
    written(if json { output::json(&shown) } else { print(&shown) })
}

/// Lists reservations, the oldest first.
pub(super) async fn list(
    settings: &Settings,
    filter: Filter<'_>,
    limit: u32,
    json: bool,
) -> Result<(), Failure> {
    let database = open(settings).await?;
    let at_most = limit.saturating_add(1);
    let mut found =
        database.using(async |connection| reservation_view::list(connection, filter, at_most).await).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let shown: Vec<WireReservation> =
        found.into_iter().map(|shown| WireReservation::new(shown, None)).collect();
    written(if json {
        output::json(&serde_json::json!({ "reservations": shown, "more": more }))
    } else {
        print_list(&shown, more)
    })
}

fn print(shown: &WireReservation) -> io::Result<()> {
    let mut out = stdout();
    let id = |id: Option<Uuid>| id.map(|id| id.to_string());
    writeln!(out, "reservation  {}\nstate        {}", shown.reservation_id, state(shown))?;
    for (name, value) in [
        ("cart", id(shown.cart_id)),
        ("order", id(shown.order_id)),
        ("reserved at", shown.reserved_at.clone()),
        ("expires at", shown.expires_at.clone()),
        ("ended at", shown.ended_at.clone()),
    ] {
        if let Some(value) = value {
            writeln!(out, "{name:12} {value}")?;
        }
    }
    if !shown.items.is_empty() {
        writeln!(
            out,
            "\n{:36} {:>10} {:>10} {:>10} {:>10}",
            "product", "quantity", "held", "released", "consumed"
        )?;
    }
    for item in &shown.items {
        let WireItem { product_id, quantity, held, released, consumed } = item;
        writeln!(out, "{product_id:36} {quantity:>10} {held:>10} {released:>10} {consumed:>10}")?;
    }
    for movement in shown.movements.iter().flatten() {
        print_movement(&mut out, movement)?;
    }
    out.flush()
}

fn print_movement(out: &mut impl Write, movement: &WireMovement) -> io::Result<()> {
    let reason = movement.reason.as_ref().map(|reason| format!(", {reason}")).unwrap_or_default();
    let message = movement.message_id.as_ref().map(|id| format!(", message {id}")).unwrap_or_default();
    writeln!(out, "\n{} {}{reason}{message}", movement.at, movement.kind)?;
    for moved in &movement.items {
        writeln!(out, "{:36} {:>10}", moved.product_id, moved.quantity)?;
    }
    Ok(())
}

fn print_list(shown: &[WireReservation], more: bool) -> io::Result<()> {
    let mut out = stdout();
    writeln!(
        out,
        "{:36} {:27} {:8} {:36} {:>8}  reason",
        "reservation", "reserved at", "state", "cart", "units"
    )?;
    for reservation in shown {
        let units: i64 = reservation.items.iter().map(|item| item.quantity).sum();
        writeln!(
            out,
            "{:36} {:27} {:8} {:36} {units:>8}  {}",
            reservation.reservation_id,
            reservation.reserved_at.as_deref().unwrap_or("-"),
            reservation.status,
            reservation.cart_id.map_or_else(|| "-".to_owned(), |cart| cart.to_string()),
            reservation.reason.as_deref().unwrap_or("-"),
        )?;
    }
    if more {
        writeln!(out, "there are more: ask for them with --limit, or for fewer with the other filters")?;
    }
    out.flush()
}

/// The state for people, with what makes it special.
fn state(shown: &WireReservation) -> String {
    match (&shown.reason, shown.cart_id) {
        (_, None) => format!("{}, before any reserve", shown.status),
        (Some(reason), _) => format!("{}, {reason}", shown.status),
        (None, _) => shown.status.clone(),
    }
}
