//! Reuse of connections to the token endpoint. A request on a connection that the provider is just
//! closing is lost, and a lost code or refresh token must not be sent again. So a connection is
//! reused only while it is young, only after trials, and not after a loss.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::HttpInfo;
use reqwest::{Client, Response};

use super::transport::{self, ClientError, Tls};

/// A connection that was idle for longer is not reused. Far below what servers allow, which is 1 s
/// or more.
const IDLE_MAX: Duration = Duration::from_millis(500);
/// Idle connections that are kept.
const KEPT_MAX: usize = 32;
/// Answers on a reused connection that end the trials. During trials one request at a time uses a
/// kept connection, so a provider that closes without saying so costs one answer.
const TRIALS: u32 = 3;
/// How long nothing is reused after an answer was lost.
const OFF: Duration = Duration::from_mins(10);

/// The connections to one endpoint. Clones share them.
#[derive(Clone)]
pub struct Connections {
    /// Closes each connection after the answer.
    single: Client,
    keeping: Client,
    trust: Arc<Mutex<Trust>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Trial {
        /// A request is on a kept connection.
        busy: bool,
        /// Our address of the connection that may be reused.
        last: Option<SocketAddr>,
        answered: u32,
    },
    Proven,
    Off {
        until: Instant,
    },
}

impl Trust {
    const UNKNOWN: Self = Self::Trial {
        busy: false,
        last: None,
        answered: 0,
    };
}

/// The right to send one request. Drop it when the answer is read.
pub struct Lease<'a> {
    connections: &'a Connections,
    keeps: bool,
}

impl Connections {
    pub fn new(tls: &Tls) -> Result<Self, ClientError> {
        Ok(Self {
            single: transport::client(tls, 0, Duration::ZERO)?,
            keeping: transport::client(tls, KEPT_MAX, IDLE_MAX)?,
            trust: Arc::new(Mutex::new(Trust::UNKNOWN)),
        })
    }

    /// A client that never reuses a connection.
    pub fn single(&self) -> &Client {
        &self.single
    }

    /// Decides whether a request may use a kept connection.
    pub fn lease(&self, now: Instant) -> Lease<'_> {
        let mut trust = self.trust();
        if matches!(*trust, Trust::Off { until } if until <= now) {
            *trust = Trust::UNKNOWN;
        }
        let keeps = match &mut *trust {
            Trust::Trial { busy, .. } => !std::mem::replace(busy, true),
            Trust::Proven => true,
            Trust::Off { .. } => false,
        };
        Lease {
            connections: self,
            keeps,
        }
    }

    fn trust(&self) -> MutexGuard<'_, Trust> {
        self.trust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    pub fn client(&self) -> &Client {
        if self.keeps {
            &self.connections.keeping
        } else {
            &self.connections.single
        }
    }

    /// Counts what came of the request.
    pub fn report(&self, result: &Result<Response, reqwest::Error>) {
        match result {
            Ok(response) => {
                let info = response.extensions().get::<HttpInfo>();
                self.answered(info.map(HttpInfo::local_addr));
            }
            // A timeout says that the provider is slow.
            Err(error) if error.is_timeout() || error.is_connect() => {}
            Err(error) if transport::is_local(error) => {}
            Err(_) => self.lost(Instant::now()),
        }
    }

    fn answered(&self, connection: Option<SocketAddr>) {
        let mut trust = self.connections.trust();
        let Trust::Trial { last, answered, .. } = &mut *trust else {
            return;
        };
        if !self.keeps {
            return;
        }
        if connection.is_some() && connection == *last {
            *answered += 1;
        }
        *last = connection;
        if *answered >= TRIALS {
            *trust = Trust::Proven;
        }
    }

    fn lost(&self, now: Instant) {
        if !self.keeps {
            return;
        }
        *self.connections.trust() = Trust::Off { until: now + OFF };
        let minutes = OFF.as_secs() / 60;
        tracing::warn!(
            event = "connection_reuse_off",
            minutes,
            "the provider closed a connection while it was used again"
        );
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if self.keeps
            && let Trust::Trial { busy, .. } = &mut *self.connections.trust()
        {
            *busy = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Connections, Instant, OFF, SocketAddr, TRIALS, Tls};

    const CONNECTION: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

    fn proven() -> Connections {
        let connections = Connections::new(&Tls::new().unwrap()).unwrap();
        for _ in 0..=TRIALS {
            connections.lease(Instant::now()).answered(Some(CONNECTION));
        }
        connections
    }

    #[test]
    fn one_request_at_a_time_tries_a_kept_connection() {
        let connections = Connections::new(&Tls::new().unwrap()).unwrap();
        let first = connections.lease(Instant::now());
        assert!(first.keeps);
        assert!(!connections.lease(Instant::now()).keeps);
        drop(first);
        assert!(connections.lease(Instant::now()).keeps);
    }

    #[test]
    fn answers_on_new_connections_prove_nothing() {
        let connections = Connections::new(&Tls::new().unwrap()).unwrap();
        for port in 1..100 {
            let connection = SocketAddr::new(CONNECTION.ip(), port);
            connections.lease(Instant::now()).answered(Some(connection));
        }
        let _first = connections.lease(Instant::now());
        assert!(!connections.lease(Instant::now()).keeps);
    }

    #[test]
    fn after_the_trials_every_request_may_use_one() {
        let connections = proven();
        let leases: Vec<_> = (0..100)
            .map(|_| connections.lease(Instant::now()))
            .collect();
        assert!(leases.iter().all(|lease| lease.keeps));
    }

    #[test]
    fn a_loss_switches_reuse_off_for_ten_minutes() {
        let (connections, now) = (proven(), Instant::now());
        connections.lease(now).lost(now);
        assert!(!connections.lease(now).keeps);
        assert!(!connections.lease(now + OFF / 2).keeps);
        assert!(connections.lease(now + OFF).keeps);
        // It begins with trials.
        let _first = connections.lease(now + OFF);
        assert!(!connections.lease(now + OFF).keeps);
    }
}
