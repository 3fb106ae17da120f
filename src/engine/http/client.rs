//! The address of the client, for limits and logs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName};

use crate::engine::limits::{Client, canonical};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A request extension, which the accept loop adds. The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// The client of a request behind `hops` trusted proxies.
///
/// The error holds the peer instead, if `X-Forwarded-For` does not fit: it has too few entries or one
/// that is no address, or it is there although no proxy is trusted. Then the number of hops is wrong,
/// or the request did not pass the proxies.
pub fn of(request: &Request, hops: u8) -> Result<Client, Client> {
    let peer = request.extensions().get::<Peer>();
    let peer = canonical(peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.0));
    if hops == 0 && !request.headers().contains_key(FORWARDED_FOR) {
        return Ok(Client(peer));
    }
    let client = forwarded_for(request.headers(), hops);
    client.map(Client).ok_or(Client(peer))
}

/// The entry of `X-Forwarded-For` that the outermost of `hops` trusted proxies wrote. Counts from the
/// right over all header lines, because a client can send entries of its own, and some proxies add a
/// line of their own.
pub fn forwarded_for(headers: &HeaderMap, hops: u8) -> Option<IpAddr> {
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let entry = entries.nth(usize::from(hops).checked_sub(1)?)?;
    address(std::str::from_utf8(entry).ok()?.trim())
}

/// An address as proxies write it, with or without a port.
fn address(entry: &str) -> Option<IpAddr> {
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(entry.parse::<SocketAddr>().ok()?.ip());
    let address = entry.parse().ok();
    address.or_else(with_port).or_else(bracketed).map(canonical)
}
