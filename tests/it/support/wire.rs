//! AMQP byte by byte: what no client library would send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Message, within};

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;

/// Bytes of a frame at most, unless the broker is set otherwise.
pub const FRAME_BYTES_MAX: usize = 131_072;

/// A setting for frames full of headers. Without optimization a client takes seconds to parse some of them, in which it sees no
/// heartbeat: on a busy machine the connection would be given up, and what was under way would come twice.
pub const SLOWLY_PARSED: [&str; 2] = ["INVENTORY__AMQP__HEARTBEAT_SECONDS", "60"];

/// A connection that writes frames, and understands no more of the answers than what they are.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
}

impl Wire {
    /// Connects and opens channel 1.
    pub async fn open(amqp_url: &str) -> Self {
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
        // No heartbeats, which nobody here would know: the last two bytes.
        let tune = [&tune[..6], &[0, 0]].concat();
        wire.send_method(0, (10, 31), &tune).await;
        wire.send_method(0, (10, 40), &[short("/"), short(""), vec![0]].concat()).await;
        wire.answer_to_method((10, 41)).await;
        wire.send_method(1, (20, 10), &short("")).await;
        wire.answer_to_method((20, 11)).await;
        wire.send_method(1, (85, 10), &[0]).await;
        wire.answer_to_method((85, 11)).await;
        wire
    }

    /// Publishes straight to a queue with these headers, which may be anything; returns once the broker has it.
    pub async fn publish(&mut self, queue: &str, message: &Message, headers: &[u8]) {
        // Headers, message_id and type, in the order of their flags.
        let flags = 1 << 13 | 1 << 7 | 1 << 5;
        let properties =
            [long(headers), short(message.id()), short(message.kind.as_deref().unwrap())].concat();
        self.publish_raw(queue, flags, &properties, &message.body).await;
    }

    /// The same with these properties, in the order of their flags.
    pub async fn publish_raw(&mut self, queue: &str, flags: u16, properties: &[u8], body: &[u8]) {
        self.send_method(1, (60, 40), &[&[0, 0][..], &short(""), &short(queue), &[0]].concat()).await;
        let bytes = (body.len() as u64).to_be_bytes();
        let header = [&60u16.to_be_bytes()[..], &[0, 0], &bytes, &flags.to_be_bytes(), properties].concat();
        self.send_frame(HEADER, 1, &header).await;
        self.send_frame(BODY, 1, body).await;
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

/// A short string, which need not be one.
pub fn short(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&[u8::try_from(text.len()).unwrap()], text].concat()
}

/// A long string, a table or an array.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    [&bytes_of(bytes)[..], bytes].concat()
}
