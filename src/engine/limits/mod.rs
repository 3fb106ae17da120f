//! Rate limits (GCRA). Every rate is here, with its reason.
//!
//! An address is an IPv4 address or the /64 of an IPv6 address, which is one network. Hundreds of
//! people may share one behind the NAT of an office or a campus. One customer may have many networks,
//! up to 65,536 in a /48. Only the limits of all addresses together bound such a customer.
//!
//! What a stranger can cost us is bounded. Starting a login and a callback without a valid attempt
//! cookie cost no row and no call. A callback with one costs a row of `login_attempts`, which the
//! sweeper deletes. If it brings a code, it also costs one call of the provider, and [`EXCHANGES`]
//! bounds those for all addresses together, at 100 a second after a burst of 2,000.

pub mod table;
pub mod throttle;

use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Extensions;
use strum::IntoStaticStr;
use uuid::Uuid;

use self::table::{Counter, Rate, Table};
use self::throttle::Throttle;

/// What an address has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// `POST /auth/login`.
    LoginStart,
    /// A callback with a valid attempt.
    Callback,
    /// Another request that changes something. Most of them write to the database.
    Change,
    /// Everything else but health checks and static files.
    Read,
}

/// Lets 400 people behind one address sign in at once, and 5 more each second. A start costs only
/// the time to seal a cookie.
const LOGIN_STARTS: Rate = Rate::new(400, 5);
/// As many as starts, because each start that is finished brings one.
const CALLBACKS: Rate = Rate::new(400, 5);
/// A person changes something every few seconds at most.
const CHANGES: Rate = Rate::new(400, 10);
/// 1,000 people who open a page each second. A page costs less than a millisecond of CPU, and a made-up
/// session cookie costs a query.
const READS: Rate = Rate::new(5_000, 1_000);
/// All addresses and people together that the table has no room for.
const OVERFLOW: Rate = Rate::new(1_000, 100);
/// All callbacks of this server that would reach the provider. The provider sees one address, ours,
/// and would lock out everybody. Below the size at which a popular site needs a second server.
const EXCHANGES: Rate = Rate::new(2_000, 100);
/// Reads of the user API for one person, beside those answered from the cache. An account page that
/// is read anew needs about ten, and a program that reads 60,000 NFTs through the API needs 600. Most
/// are one call. A part of a list has up to 20, and the whole list of a gate up to 100, once a minute.
const PROVIDER_CALLS: Rate = Rate::new(600, 5);

/// Entries of the table, 16 bytes each. An entry is free again once its address may use its whole
/// burst, so this many are busy only in a distributed attack.
const ENTRIES: usize = 32_768;

/// A request extension. The address of the client. Behind proxies it is the one that the outermost
/// trusted proxy saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client(pub IpAddr);

impl Client {
    /// The client of a request. All requests without one count as those of a single client.
    pub fn of(extensions: &Extensions) -> Self {
        let unknown = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        extensions.get().copied().unwrap_or(unknown)
    }
}

/// How long to wait, in seconds. At least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub u64);

impl From<Duration> for RetryAfter {
    fn from(wait: Duration) -> Self {
        Self(wait.as_secs() + 1)
    }
}

/// The limits of one server. Off with `RATE_LIMIT=off`.
#[derive(Clone)]
pub struct Limits(Option<Arc<State>>);

struct State {
    table: Table,
    /// For all callbacks together.
    exchanges: Counter,
    /// For all that the table has no room for.
    overflow: Counter,
    started: Instant,
    /// For the lines that say so.
    requests: Throttle,
    callbacks: Throttle,
    provider_calls: Throttle,
}

impl Limits {
    pub fn new(on: bool) -> Self {
        let state = || State {
            table: Table::new(ENTRIES),
            exchanges: Counter::default(),
            overflow: Counter::default(),
            started: Instant::now(),
            requests: Throttle::default(),
            callbacks: Throttle::default(),
            provider_calls: Throttle::default(),
        };
        Self(on.then(|| Arc::new(state())))
    }

    /// Counts an action of this client. Each method here logs its refusals, at most one a second.
    pub fn count(&self, action: Action, Client(address): Client) -> Result<(), RetryAfter> {
        let rate = match action {
            Action::LoginStart => LOGIN_STARTS,
            Action::Callback => CALLBACKS,
            Action::Change => CHANGES,
            Action::Read => READS,
        };
        let taken = self.take(&(action, prefix(address)), rate);
        taken.inspect_err(|_| self.report(action))
    }

    fn report(&self, action: Action) {
        let Some(state) = &self.0 else { return };
        let throttle = match action {
            Action::Callback => &state.callbacks,
            Action::LoginStart | Action::Change | Action::Read => &state.requests,
        };
        log(throttle, action.into());
    }

    /// Counts a callback that is about to reach the provider.
    pub fn count_exchange(&self, client: Client) -> Result<(), RetryAfter> {
        self.count(Action::Callback, client)?;
        let Some(state) = &self.0 else { return Ok(()) };
        let taken = state.exchanges.take(EXCHANGES, state.started.elapsed());
        let taken = taken.inspect_err(|_| self.report(Action::Callback));
        taken.map_err(RetryAfter::from)
    }

    /// Counts a read of the user API for this person.
    pub fn count_provider_call(&self, user_id: Uuid) -> Result<(), RetryAfter> {
        self.take(&user_id, PROVIDER_CALLS).inspect_err(|_| {
            if let Some(state) = &self.0 {
                log(&state.provider_calls, "provider_call");
            }
        })
    }

    fn take(&self, key: &impl Hash, rate: Rate) -> Result<(), RetryAfter> {
        let Some(state) = &self.0 else { return Ok(()) };
        let now = state.started.elapsed();
        let taken = state.table.take(key, rate, now);
        let taken = taken.unwrap_or_else(|| state.overflow.take(OVERFLOW, now));
        taken.map_err(RetryAfter::from)
    }
}

fn log(throttle: &Throttle, action: &str) {
    if let Some(left_out) = throttle.turn() {
        tracing::warn!(
            event = "rate_limited",
            action,
            left_out,
            "a limit refuses requests"
        );
    }
}

/// The /64 of an IPv6 address, or the whole IPv4 address.
pub fn prefix(address: IpAddr) -> u128 {
    /// Bits that name a machine within its network.
    const HOST_BITS: u32 = 64;
    match canonical(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> HOST_BITS << HOST_BITS,
    }
}

/// An IPv4 address that is written as IPv6 in its usual form. Knows mapped addresses and those of
/// NAT64 (RFC 6052), behind which many IPv4 addresses would share one /64.
pub fn canonical(address: IpAddr) -> IpAddr {
    const NAT64: u128 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0).to_bits();
    match address.to_canonical() {
        IpAddr::V6(v6) if v6.to_bits() >> 32 == NAT64 >> 32 => {
            let [.., a, b, c, d] = v6.octets();
            [a, b, c, d].into()
        }
        address => address,
    }
}
