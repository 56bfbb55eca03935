//! Messages that overflow the stacks of AMQP clients: headers that are nested as deep as a frame can hold. No client
//! library would send them, so they are written byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::{Harness, Message, Setup, eventually, within};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

/// Bytes of a frame at most, unless the broker is set otherwise.
const FRAME_BYTES_MAX: usize = 131_072;

/// Bytes that a level of nesting takes: an empty name, the type, the length.
const LEVEL_BYTES: usize = 6;

/// A connection that writes frames, and understands no more of the answers than what they are.
struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects and opens channel 1.
    async fn open(amqp_url: &str) -> Self {
        let (login, address) = amqp_url.trim_start_matches("amqp://").rsplit_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (address, _) = address.split_once('/').unwrap();
        let mut wire = Self { stream: TcpStream::connect(address).await.unwrap() };
        wire.stream.write_all(b"AMQP\0\0\x09\x01").await.unwrap();
        wire.answer_to_method((10, 10)).await;
        let start = [
            &[0; 4][..],
            &short("PLAIN"),
            &long(format!("\0{user}\0{password}").as_bytes()),
            &short("en_US"),
        ];
        wire.send_method(0, (10, 11), &start.concat()).await;
        let tune = wire.answer_to_method((10, 30)).await;
        wire.send_method(0, (10, 31), &tune).await;
        wire.send_method(0, (10, 40), &[short("/"), short(""), vec![0]].concat()).await;
        wire.answer_to_method((10, 41)).await;
        wire.send_method(1, (20, 10), &short("")).await;
        wire.answer_to_method((20, 11)).await;
        wire.send_method(1, (85, 10), &[0]).await;
        wire.answer_to_method((85, 11)).await;
        wire
    }

    /// Publishes straight to a queue; returns once the broker has it.
    async fn publish(&mut self, queue: &str, message: &Message, headers: &[u8]) {
        self.send_method(1, (60, 40), &[&[0, 0][..], &short(""), &short(queue), &[0]].concat()).await;
        // Headers, message_id and type, in the order of their flags.
        let flags = 1u16 << 13 | 1 << 7 | 1 << 5;
        let properties =
            [long(headers), short(message.id()), short(message.kind.as_deref().unwrap())].concat();
        let bytes = (message.body.len() as u64).to_be_bytes();
        let header = [&60u16.to_be_bytes()[..], &[0, 0], &bytes, &flags.to_be_bytes(), &properties].concat();
        self.send_frame(HEADER, 1, &header).await;
        self.send_frame(BODY, 1, &message.body).await;
        self.answer_to_method((60, 80)).await;
    }

    async fn send_method(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.send_frame(METHOD, channel, &payload).await;
    }

    async fn send_frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        assert!(payload.len() + 8 <= FRAME_BYTES_MAX, "a frame of {} bytes", payload.len() + 8);
        let frame = [&[kind][..], &channel.to_be_bytes(), &bytes_of(payload), payload, &[0xce]].concat();
        self.stream.write_all(&frame).await.unwrap();
    }

    /// Awaits a method; gives its arguments.
    async fn answer_to_method(&mut self, (class, method): (u16, u16)) -> Vec<u8> {
        let mut start = [0; 7];
        let read = self.stream.read_exact(&mut start);
        within(&format!("method {class}.{method}"), read).await.unwrap();
        let bytes = u32::from_be_bytes(start[3..].try_into().unwrap()) as usize;
        let mut payload = vec![0; bytes + 1];
        self.stream.read_exact(&mut payload).await.unwrap();
        let expected = [class.to_be_bytes(), method.to_be_bytes()].concat();
        assert_eq!(payload[..4], expected, "{}", String::from_utf8_lossy(&payload));
        payload[4..bytes].to_vec()
    }
}

fn bytes_of(payload: &[u8]) -> [u8; 4] {
    u32::try_from(payload.len()).unwrap().to_be_bytes()
}

fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&bytes_of(bytes)[..], bytes].concat()
}

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
    let mut harness = Setup::new().start().await;
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
