//! Deliveries in batches that form by themselves, as in the service: what arrives while one is handled is the next.

use futures_util::StreamExt;
use lapin::Connection;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::sync::mpsc;

use super::Pipeline;
use crate::failure::Failure;

/// Consumes a queue.
pub struct Batches {
    arrived: mpsc::Receiver<Delivery>,
    at_once: usize,
}

impl Batches {
    /// Begins.
    pub async fn of(connection: &Connection, queue: &str, pipeline: &Pipeline) -> Result<Self, Failure> {
        let channel = connection.create_channel().await?;
        channel.basic_qos(pipeline.prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let mut consumer =
            channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
        let (inbox, arrived) = mpsc::channel(pipeline.prefetch.into());
        tokio::spawn(async move {
            while let Some(Ok(delivery)) = consumer.next().await {
                if inbox.send(delivery).await.is_err() {
                    break;
                }
            }
            drop(channel);
        });
        Ok(Self { arrived, at_once: pipeline.batch })
    }

    /// The next batch; empty when there are no more.
    pub async fn next(&mut self) -> Vec<Delivery> {
        let mut batch = Vec::with_capacity(self.at_once);
        self.arrived.recv_many(&mut batch, self.at_once).await;
        batch
    }
}
