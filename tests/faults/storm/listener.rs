//! Subscribers as they should be: what they have not acknowledged comes again.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use tokio::time::{sleep, timeout};

use super::load::SharedHistory;
use crate::support::Received;
use crate::support::client::try_connect;
use crate::support::history::History;

/// Unacknowledged messages at once.
const PREFETCH: u16 = 500;

/// Longest silence before a listener takes its connection for lost: nobody may tell it.
const SILENCE: Duration = Duration::from_secs(3);

/// Pause before a listener connects anew.
const PAUSE: Duration = Duration::from_millis(100);

/// Hears what comes to a queue, for as long as it is let.
pub async fn listen(url: String, queue: String, history: SharedHistory, hear: fn(&mut History, &Received)) {
    loop {
        if let Ok(Ok((connection, channel))) = timeout(SILENCE, try_connect(&url)).await {
            // Where it fails the connection is gone, and the next one is tried.
            let _ = consume(&channel, &queue, &history, hear).await;
            // It takes as long as RabbitMQ may be paused: one that is left open goes on to be given messages.
            let _ = timeout(SILENCE, connection.close(200, "lost".into())).await;
        }
        sleep(PAUSE).await;
    }
}

async fn consume(
    channel: &lapin::Channel,
    queue: &str,
    history: &SharedHistory,
    hear: fn(&mut History, &Received),
) -> lapin::Result<()> {
    let opening = async {
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
    };
    let Ok(consumer) = timeout(SILENCE, opening).await else { return Ok(()) };
    let mut arriving = consumer?.ready_chunks(PREFETCH.into());
    while let Ok(Some(arrived)) = timeout(SILENCE, arriving.next()).await {
        let arrived: Vec<Delivery> = arrived.into_iter().collect::<lapin::Result<_>>()?;
        // A client that has lost its connection may never say so, here either.
        let Ok(taken) = timeout(SILENCE, take(arrived, history, hear)).await else { return Ok(()) };
        taken?;
    }
    Ok(())
}

async fn take(
    arrived: Vec<Delivery>,
    history: &SharedHistory,
    hear: fn(&mut History, &Received),
) -> lapin::Result<()> {
    let mut last = None;
    for delivery in arrived {
        last = Some(delivery.acker.clone());
        hear(&mut history.lock(), &delivery.into());
    }
    if let Some(last) = last {
        last.ack(BasicAckOptions { multiple: true }).await?;
    }
    Ok(())
}
