//! What all turns begin with: topology, schema, stock, and samples of what the service sends.

use std::fs;

use uuid::Uuid;

use super::subject::BASELINE_TEMPLATE;
use crate::failure::Failure;
use crate::load::{Invoice, PRODUCTS, product, read_invoices, take_samples};
use crate::stage::{Stage, TEMPLATE, stock_file};
use crate::worker::prepare_baseline;

/// What carts are made of.
#[derive(Debug)]
pub struct Goods {
    /// Of `spread`; the first is that of `flash`.
    pub products: Vec<Uuid>,
    /// Of `carts`.
    pub invoices: Vec<Invoice>,
}

/// Prepares the servers. The service declares its queues itself, and every other worker finds them as they are: so all
/// have queues of the same kind, whatever the arguments are.
pub async fn prepare(stage: &Stage) -> Result<Goods, Failure> {
    let goods = Goods { products: (0..PRODUCTS).map(product).collect(), invoices: read_invoices()? };
    let sold = goods.invoices.iter().flat_map(|invoice| &invoice.items).map(|(product, _)| *product);
    let stock: Vec<Uuid> = goods.products.iter().copied().chain(sold).collect();
    let (databases, url) = (&stage.databases, stage.databases.url_of(TEMPLATE));
    databases.create(TEMPLATE, "template0").await?;
    stage.run(&url, &["migrate"]).await?;
    let file = stage.servers.folder.join("stock.csv");
    fs::write(&file, stock_file(&stock)).map_err(Failure::file(&file))?;
    stage.run(&url, &["stock", "import", &file.display().to_string()]).await?;
    let mut service = stage.serve(&url).await?;
    let samples = take_samples(&stage.servers.amqp_url, [goods.products[0], goods.products[1]]).await?;
    samples.write(&stage.sample_file())?;
    // Every product has come into stock, which is told by an event: that is not to be part of the first turn.
    let is_done = async || databases.is_outbox_empty(TEMPLATE).await.is_ok_and(|is_empty| is_empty);
    service.process.until(is_done).await?;
    service.process.stop().await?;
    databases.create(BASELINE_TEMPLATE, "template0").await?;
    prepare_baseline(&databases.url_of(BASELINE_TEMPLATE), &goods.products).await?;
    Ok(goods)
}
