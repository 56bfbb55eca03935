//! `inventory healthcheck`: for containers, which have no other client at hand.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Failure;
use crate::config::Settings;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn run(settings: &Settings) -> Result<(), Failure> {
    let address = reachable(settings.http.address);
    let answer = tokio::time::timeout(TIMEOUT, ask(address))
        .await
        .map_err(|_| Failure::No(format!("no answer from {address} within {TIMEOUT:?}")))?
        .map_err(|error| Failure::No(format!("no answer from {address}: {error}")))?;
    let is_ready = answer.split_whitespace().nth(1) == Some("200");
    let reason = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    if is_ready { Ok(()) } else { Err(Failure::No(format!("not ready: {reason}"))) }
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A service that listens on all addresses is reached on the loopback one.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
