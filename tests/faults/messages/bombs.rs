//! Headers as wide as a frame holds, and bodies far over the limit.

use uuid::Uuid;

use crate::kit::Vitals;
use crate::support::scale::size;
use crate::support::wire::{FRAME_BYTES_MAX, SLOWLY_PARSED, Wire, long, short};
use crate::support::{Harness, Message, Setup, eventually};

/// Bytes of headers that a frame has room for, beside the properties that these messages have.
const HEADERS_BYTES: usize = FRAME_BYTES_MAX - 1000;

/// Memory that the service may take, whatever comes.
const MEMORY_MIB: usize = 700;

/// As many headers with nothing in them as there is room for.
fn wide() -> Vec<u8> {
    let header = |number: usize| [&short(format!("{number:x}"))[..], b"V"].concat();
    fill((0..).map(header))
}

/// One header, which is as many times nothing as there is room for.
fn array() -> Vec<u8> {
    let nothing = vec![b'V'; HEADERS_BYTES - 7];
    [&short("a")[..], b"A", &long(&nothing)].concat()
}

/// Values of every type there is, again and again.
fn of_every_type() -> Vec<u8> {
    let with = |kind: u8, value: &[u8]| [&[kind][..], value].concat();
    let numbers = b"tbBsuIilfdDT".iter().map(|kind| {
        let bytes = match kind {
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            _ => 8,
        };
        // A number, whatever its type.
        with(*kind, &vec![1; bytes])
    });
    let inner = [short("x"), with(b'V', b"")].concat();
    let others = [
        with(b'S', &long(b"\xff\xfe no UTF-8")),
        with(b'x', &long(&[0, 255])),
        with(b'A', &long(&inner[2..])),
        with(b'F', &long(&inner)),
        with(b'V', b""),
    ];
    let values: Vec<Vec<u8>> = numbers.chain(others).collect();
    let header =
        |number: usize| [short(format!("{number:x}")), values[number % values.len()].clone()].concat();
    fill((0..).map(header))
}

/// So many of these as there is room for.
fn fill(mut headers: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut table = Vec::with_capacity(HEADERS_BYTES);
    while let Some(next) = headers.next().filter(|next| table.len() + next.len() <= HEADERS_BYTES) {
        table.extend(next);
    }
    table
}

/// Sends good and bad messages with such headers, and good ones with none between them.
async fn survive(harness: &mut Harness, wire: &mut Wire, product: Uuid, headers: &[u8], times: u32) {
    let (commands, letters) = {
        let names = &harness.site().names;
        (names.commands.clone(), names.dead_letter.clone())
    };
    let mut good = Vec::new();
    for _ in 0..times {
        let loaded = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        wire.publish(&commands, &loaded, headers).await;
        wire.publish(&commands, &Message::release("nobody"), headers).await;
        let light = Message::reserve(Uuid::new_v4(), &[(product, 1)]);
        harness.client.send(&light).await;
        good.extend([loaded, light]);
    }
    for command in &good {
        harness.next_outcome_of(command).await.reservation();
    }
    eventually("the dead letters", async || harness.client.depth(&letters).await == times).await;
    let options = lapin::options::QueuePurgeOptions::default();
    assert_eq!(harness.client.channel.queue_purge(letters.as_str().into(), options).await.unwrap(), times);
}

#[tokio::test]
async fn headers_as_wide_as_a_frame_holds() {
    let [heartbeat, seconds] = SLOWLY_PARSED;
    let mut harness = Setup::new().with(heartbeat, seconds).start().await;
    let product = harness.product(1_000_000).await;
    let mut wire = Wire::open(&harness.site().servers.amqp_url).await;
    for (name, headers) in [("wide", wide()), ("array", array()), ("of every type", of_every_type())] {
        survive(&mut harness, &mut wire, product, &headers, size(8, 1000)).await;
        let vitals = Vitals::of(&harness.services()[0]);
        eprintln!("{name}: {} MiB at most", vitals.memory_mib_max);
        assert!(vitals.memory_mib_max < MEMORY_MIB, "{name}: {vitals:?}");
    }
    harness.finish().await;
}

/// JSON as deep as a body may be, and a body of sixteen times the limit.
#[tokio::test]
async fn bodies_as_deep_and_as_large_as_it_gets() {
    let mut harness = Harness::start().await;
    let product = harness.product(9).await;
    let replies = harness.client.replies.queue.clone();
    let broken = |body: Vec<u8>| Message::release("").with_body(body).with_reply_to(&replies);
    for (message, code, status) in [
        (broken(b"[".repeat(1_048_576)), "INVALID_MESSAGE", 400),
        (broken(b"{\"a\":".repeat(209_715)), "INVALID_MESSAGE", 400),
        (broken(vec![b'['; 16 << 20]), "MESSAGE_TOO_LARGE", 413),
    ] {
        harness.client.send(&message).await;
        harness.outcome_of(&Message::reserve(Uuid::new_v4(), &[(product, 1)])).await.reservation();
        harness.assert_refused(&message, code, status).await;
    }
    harness.finish().await;
}
