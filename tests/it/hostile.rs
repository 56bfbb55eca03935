//! Messages that overflow the stacks of AMQP clients: headers that are nested as deep as a frame can hold. No client
//! library would send them, so they are written byte by byte.

use uuid::Uuid;

use crate::support::wire::{FRAME_BYTES_MAX, SLOWLY_PARSED, Wire};
use crate::support::{Harness, Message, Setup, eventually};

/// Bytes that a level of nesting takes: an empty name, the type, the length.
const LEVEL_BYTES: usize = 6;

/// Tables in one another. The length of each is that of all within it.
fn nested(levels: usize) -> Vec<u8> {
    let mut table = Vec::with_capacity(levels * LEVEL_BYTES);
    for inner in (0..levels).rev() {
        table.extend([0, b'F']);
        table.extend(u32::try_from(inner * LEVEL_BYTES).unwrap().to_be_bytes());
    }
    table
}

#[tokio::test]
async fn headers_as_deep_as_a_frame_holds_harm_nobody() {
    let [heartbeat, seconds] = SLOWLY_PARSED;
    let mut harness = Setup::new().with(heartbeat, seconds).start().await;
    let product = harness.product(100).await;
    let names = harness.site().names.clone();
    let mut wire = Wire::open(&harness.site().servers.amqp_url).await;
    let deepest = (FRAME_BYTES_MAX - 1000) / LEVEL_BYTES;

    for levels in [1000, deepest] {
        let good = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        wire.publish(&names.commands, &good, &nested(levels)).await;
        harness.next_outcome_of(&good).await.reservation();
        wire.publish(&names.commands, &Message::release("nobody"), &nested(levels)).await;
        eventually("the dead letter", async || harness.client.depth(&names.dead_letter).await == 1).await;
        purge(&harness).await;
        // A query that nobody can be answered.
        wire.publish(&names.queries, &Message::stock_level(product), &nested(levels)).await;
        eventually("the dead letter", async || harness.client.depth(&names.dead_letter).await == 1).await;
        purge(&harness).await;
    }
    harness.assert_level(product, 98, 2).await;
    harness.finish().await;
}

/// Drops the dead letters unread: the client library of the tests would die of them.
async fn purge(harness: &Harness) {
    let queue = harness.site().names.dead_letter.as_str().into();
    let options = lapin::options::QueuePurgeOptions::default();
    assert_eq!(harness.client.channel.queue_purge(queue, options).await.unwrap(), 1);
}
