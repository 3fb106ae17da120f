//! `healthcheck`: asks the local server whether it is ready.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, bail};

/// Longest wait for the server.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Sends one request to `/readyz`. Uses no library, because a broken image could lack its files.
pub fn healthcheck(listen_addr: SocketAddr) -> anyhow::Result<()> {
    let ip = match listen_addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listen_addr.port());
    let stream = TcpStream::connect_timeout(&address, TIMEOUT);
    let mut stream = stream.with_context(|| format!("nothing listens on {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    let read = stream.take(4096).read_to_string(&mut answer);
    read.context("the server does not answer")?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    bail!("not ready: {}", answer.lines().last().unwrap_or_default())
}
