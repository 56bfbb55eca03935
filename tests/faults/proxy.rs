//! The proxy itself, before anything is concluded from it: between a client and a server that repeats what it hears.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::kit::{Blow, Direction, Proxy, Weather};
use crate::support::within;

/// A server that repeats what it hears, until it hears no more.
async fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://user:secret@{}/name", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                // A client that is gone is no fault of the server.
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    url
}

async fn proxied() -> (Proxy, TcpStream) {
    let proxy = Proxy::before(&echo().await).await;
    let stream = connect(&proxy).await;
    (proxy, stream)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    let (_, address) = proxy.url.split_once('@').unwrap();
    TcpStream::connect(address.trim_end_matches("/name")).await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads so much; fails where the connection ends before.
async fn hear(stream: &mut TcpStream, bytes: usize) -> io::Result<String> {
    let mut heard = vec![0; bytes];
    within("the echo", stream.read_exact(&mut heard)).await?;
    Ok(String::from_utf8(heard).unwrap())
}

async fn assert_reset(stream: &mut TcpStream) {
    let error = hear(stream, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{error}");
}

#[tokio::test]
async fn in_clear_weather_everything_passes() {
    let (proxy, mut stream) = proxied().await;
    say(&mut stream, "hello").await;
    assert_eq!(hear(&mut stream, 5).await.unwrap(), "hello");
    stream.shutdown().await.unwrap();
    assert_eq!(hear(&mut stream, 1).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!((proxy.seen().connections, proxy.seen().resets), (1, 0));
}

#[tokio::test]
async fn delay_and_throttle_take_their_time() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Weather::Delay(Duration::from_millis(60)));
    let began = Instant::now();
    say(&mut stream, "late").await;
    assert_eq!(hear(&mut stream, 4).await.unwrap(), "late");
    assert!(began.elapsed() >= Duration::from_millis(120), "both ways: {:?}", began.elapsed());

    proxy.set(Weather::Throttle { bytes_per_second: 1000 });
    let began = Instant::now();
    say(&mut stream, &"x".repeat(200)).await;
    assert_eq!(hear(&mut stream, 200).await.unwrap().len(), 200);
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_black_hole_holds_what_passes_when_it_is_over() {
    let (proxy, mut stream) = proxied().await;
    proxy.set(Weather::BlackHole);
    say(&mut stream, "one").await;
    let mut second = connect(&proxy).await;
    say(&mut second, "two").await;
    proxy.until("what is held", |seen| seen.held == 2).await;
    assert!(stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
    proxy.set(Weather::Clear);
    assert_eq!(hear(&mut stream, 3).await.unwrap(), "one");
    assert_eq!(hear(&mut second, 3).await.unwrap(), "two");
}

#[tokio::test]
async fn a_reset_reaches_into_a_black_hole_and_refusing_resets_who_comes() {
    let (proxy, mut stream) = proxied().await;
    say(&mut stream, "x").await;
    hear(&mut stream, 1).await.unwrap();
    proxy.set(Weather::BlackHole);
    say(&mut stream, "held").await;
    proxy.until("what is held", |seen| seen.held == 1).await;
    proxy.strike(Blow::Reset);
    assert_reset(&mut stream).await;
    proxy.set(Weather::Refusing);
    assert_reset(&mut connect(&proxy).await).await;
    proxy.set(Weather::Clear);
    let mut next = connect(&proxy).await;
    say(&mut next, "again").await;
    assert_eq!(hear(&mut next, 5).await.unwrap(), "again");
    assert_eq!(proxy.seen().resets, 2);
}

#[tokio::test]
async fn after_a_silence_nothing_passes_but_on_the_next_connection() {
    let (proxy, mut stream) = proxied().await;
    say(&mut stream, "x").await;
    hear(&mut stream, 1).await.unwrap();
    proxy.strike(Blow::Silence);
    say(&mut stream, "lost").await;
    let mut next = connect(&proxy).await;
    say(&mut next, "heard").await;
    assert_eq!(hear(&mut next, 5).await.unwrap(), "heard");
    assert!(stream.try_read(&mut [0; 1]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock));
}

#[tokio::test]
async fn a_half_closed_connection_still_passes_the_other_way() {
    let (proxy, mut stream) = proxied().await;
    say(&mut stream, "x").await;
    hear(&mut stream, 1).await.unwrap();
    proxy.strike(Blow::HalfClose(Direction::ToService));
    assert_eq!(hear(&mut stream, 1).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!((proxy.seen().half_closes, proxy.seen().resets), (1, 0));
    say(&mut stream, "still heard").await;
}

#[tokio::test]
async fn a_cut_frame_lacks_its_end_and_only_one_is_cut() {
    let (proxy, mut stream) = proxied().await;
    proxy.strike(Blow::CutFrame(Direction::ToServer));
    proxy.disarm();
    say(&mut stream, "whole").await;
    assert_eq!(hear(&mut stream, 5).await.unwrap(), "whole");
    proxy.strike(Blow::CutFrame(Direction::ToService));
    say(&mut stream, "frame").await;
    let mut heard = Vec::new();
    // What was passed on before a reset may be lost with it.
    let error = within("the reset", stream.read_to_end(&mut heard)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(b"fram".starts_with(&heard[..]), "{heard:?}");
    let mut next = connect(&proxy).await;
    say(&mut next, "frame").await;
    assert_eq!(hear(&mut next, 5).await.unwrap(), "frame");
    assert_eq!((proxy.seen().frames_cut, proxy.seen().resets), (1, 1));
}
