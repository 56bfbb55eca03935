//! The ceiling of queries: every query is answered at once, with a reply of the same size.

use futures_util::future::try_join_all;
use lapin::options::{BasicAckOptions, BasicPublishOptions};
use uuid::Uuid;

use super::batches::Batches;
use super::{Pipeline, say_ready};
use crate::failure::Failure;
use crate::load::{QUERIES, connect};
use crate::sample::Sample;

/// Works until the queue is gone. Replies are best effort, so nothing is confirmed.
pub async fn run(url: &str, pipeline: &Pipeline, reply: Sample) -> Result<(), Failure> {
    let (consuming, publishing) = (connect(url).await?, connect(url).await?);
    let out = publishing.create_channel().await?;
    let mut batches = Batches::of(&consuming, QUERIES, pipeline).await?;
    say_ready();
    loop {
        let mut batch = batches.next().await;
        try_join_all(batch.iter().map(|delivery| {
            let properties = reply.answering(&delivery.properties, Uuid::now_v7());
            let to = delivery.properties.reply_to().clone().unwrap_or_default();
            out.basic_publish(
                "".into(),
                to,
                BasicPublishOptions::default(),
                reply.body.as_bytes(),
                properties,
            )
        }))
        .await?;
        let Some(last) = batch.pop() else { return Ok(()) };
        last.acker.ack(BasicAckOptions { multiple: true }).await?;
    }
}
