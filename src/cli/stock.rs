//! `inventory stock set`, `adjust` and `show`.

use std::io;

use serde::Serialize;
use uuid::Uuid;

use super::Failure;
use super::output::{self, told, written};
use crate::config::Settings;
use crate::domain::{ProductId, StockLevel};
use crate::storage::stock_change::{self, Change};
use crate::storage::{Database, migrations, stock};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    product_id: Uuid,
    on_hand: u64,
    reserved: u64,
    available: u64,
}

pub(super) async fn set(
    settings: &Settings,
    product: Uuid,
    quantity: i64,
    json: bool,
) -> Result<(), Failure> {
    change(settings, product, Change::Counted(quantity), json).await
}

pub(super) async fn adjust(
    settings: &Settings,
    product: Uuid,
    delta: i64,
    json: bool,
) -> Result<(), Failure> {
    change(settings, product, Change::Adjusted(delta), json).await
}

async fn change(settings: &Settings, product: Uuid, change: Change, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let level = stock_change::apply(&database, ProductId(product), change, &operator()).await?;
    told(print(product, level, json))
}

pub(super) async fn show(settings: &Settings, product: Uuid, json: bool) -> Result<(), Failure> {
    let database = open(settings).await?;
    let levels = database.using(async |connection| stock::read(connection, &[product]).await).await?;
    let (_, level) = levels.first().ok_or_else(|| unknown(product))?;
    written(print(product, *level, json))
}

/// Nobody has counted this product yet.
pub(super) fn unknown(product: Uuid) -> Failure {
    Failure::No(format!(
        "product {product} is not known: count it with `inventory stock set {product} QUANTITY`"
    ))
}

/// The database, once its schema is known to be the right one.
pub(super) async fn open(settings: &Settings) -> Result<Database, Failure> {
    let database = Database::for_operator(&settings.database)?;
    database.try_connect().await?;
    migrations::check(&database).await?;
    Ok(database)
}

/// Who is at the keyboard, for the facts.
pub(super) fn operator() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

fn print(product: Uuid, level: StockLevel, json: bool) -> io::Result<()> {
    let StockLevel { on_hand, reserved, .. } = level;
    let available = level.available();
    if json {
        output::json(&Shown { product_id: product, on_hand, reserved, available })
    } else {
        output::text(&format!(
            "product    {product}\non hand    {on_hand}\nreserved   {reserved}\navailable  {available}"
        ))
    }
}
