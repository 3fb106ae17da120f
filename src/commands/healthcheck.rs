//! `healthcheck`: asks the local server whether it is ready.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::engine::config::{self, Source};

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks `/readyz`, or `/healthz` if only the process must be alive. Uses no library, because a
/// broken image could lack its files.
pub fn healthcheck(listen_addr: Option<SocketAddr>, live: bool) -> anyhow::Result<()> {
    let listen_addr = match listen_addr {
        Some(listen_addr) => listen_addr,
        None => listen_addr_of_server()?,
    };
    let path = if live { "/healthz" } else { "/readyz" };
    let ip = match listen_addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen_addr.port());
    let stream = TcpStream::connect_timeout(&address, TIMEOUT);
    let mut stream = stream.with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    let read = stream.take(4096).read_to_string(&mut answer);
    read.context("the server does not answer")?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    bail!("not ready: {}", answer.lines().last().unwrap_or_default())
}

/// By the rules of the server: an empty `LISTEN_ADDR` counts as absent, and `PORT` as every
/// address.
fn listen_addr_of_server() -> anyhow::Result<SocketAddr> {
    let variables = Source::environment();
    Ok(config::listen_addr(Source::new(&variables))?)
}
