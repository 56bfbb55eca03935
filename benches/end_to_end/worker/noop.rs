//! The ceiling: for every command an event of the same size, confirmed, and then the command is acknowledged.

use futures_util::future::try_join_all;
use lapin::options::{BasicAckOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Acker, Confirmation, PublisherConfirm};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::batches::Batches;
use super::{Pipeline, say_ready};
use crate::failure::Failure;
use crate::load::{COMMANDS, EVENTS, connect};
use crate::sample::Sample;

/// Batches that wait for their confirms while the next is published.
const BATCHES_UNCONFIRMED: usize = 4;

/// Works until the queue is gone.
pub async fn run(url: &str, pipeline: &Pipeline, event: Sample) -> Result<(), Failure> {
    let (consuming, publishing) = (connect(url).await?, connect(url).await?);
    let out = publishing.create_channel().await?;
    out.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut batches = Batches::of(&consuming, COMMANDS, pipeline).await?;
    let (to_confirm, unconfirmed) = mpsc::channel(BATCHES_UNCONFIRMED);
    let acknowledging = tokio::spawn(acknowledge(unconfirmed));
    say_ready();
    loop {
        let mut batch = batches.next().await;
        let confirms = try_join_all(batch.iter().map(|delivery| {
            let properties = event.answering(&delivery.properties, Uuid::now_v7());
            let (exchange, key) = (EVENTS.into(), event.routing_key().into());
            out.basic_publish(
                exchange,
                key,
                BasicPublishOptions::default(),
                event.body.as_bytes(),
                properties,
            )
        }))
        .await?;
        let Some(last) = batch.pop() else { break };
        if to_confirm.send((confirms, last.acker)).await.is_err() {
            break;
        }
    }
    drop(to_confirm);
    acknowledging.await.map_err(|error| Failure::Wrong(error.to_string()))?
}

async fn acknowledge(mut unconfirmed: mpsc::Receiver<(Vec<PublisherConfirm>, Acker)>) -> Result<(), Failure> {
    while let Some((confirms, last)) = unconfirmed.recv().await {
        for confirm in confirms {
            if !matches!(confirm.await?, Confirmation::Ack(None)) {
                return Err(Failure::Wrong("RabbitMQ refused an event".to_owned()));
            }
        }
        last.ack(BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}
