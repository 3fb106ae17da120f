//! The connection pool, with limits on each call and a way out of a failover.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::runtime::Handle;
use tokio::time::error::Elapsed;

use super::{Error, connect};
use crate::engine::config;

/// Longest wait for a free connection. Short, so that an outage is an error and not a hang.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is pinged before use.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Lifetime of a connection. Renewing it also finds a new primary after a failover.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle connections are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Longest wait for the answer to a statement. Longer than the server's own limits, because it is
/// for a network that loses packets.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest use of a connection for several statements.
const RUN_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection pool. Clones share it.
///
/// A failover leaves connections to a server that is dead or read-only. The first call that finds
/// one closes it, and every connection that is as old is closed before its next use.
///
/// The pool of sqlx would ping at each release, and so double the round trips of a sign-in.
#[derive(Clone)]
pub struct Db {
    pool: Pool<Connector>,
    lost: LostAt,
}

/// Makes the connections of the pool, and checks idle ones before use.
#[derive(Debug)]
struct Connector {
    options: PgConnectOptions,
    lost: LostAt,
}

impl Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if metrics.age() > MAX_LIFETIME || self.lost.outdates(metrics.age()) {
            return Err(RecycleError::message("too old"));
        }
        if metrics.last_used() > PING_AFTER && !self.lost.ping(connection, PING_TIMEOUT).await {
            return Err(RecycleError::message("no answer"));
        }
        Ok(())
    }
}

/// When the database was last away.
#[derive(Clone, Debug, Default)]
struct LostAt(Arc<Mutex<Failures>>);

#[derive(Debug, Default)]
struct Failures {
    /// A connection was found dead or read-only.
    lost: Option<Instant>,
    /// That, or there was no connection.
    away: Option<Instant>,
}

impl LostAt {
    fn get(&self) -> MutexGuard<'_, Failures> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection of this age may lead to the server that was lost.
    fn outdates(&self, age: Duration) -> bool {
        self.get().lost.is_some_and(|lost| lost.elapsed() <= age)
    }

    fn set(&self) {
        let now = Some(Instant::now());
        *self.get() = Failures {
            lost: now,
            away: now,
        };
    }

    /// Whether the connection answers. If not, those that are as old are not even pinged.
    async fn ping(&self, connection: &mut PgConnection, limit: Duration) -> bool {
        let answer = async {
            match connection.ping().await {
                // The statement that was cut short before has failed.
                Err(sqlx::Error::Database(_)) => connection.ping().await,
                answer => answer,
            }
        };
        let answer = tokio::time::timeout(limit, answer).await;
        let alive = matches!(answer, Ok(Ok(())));
        if !alive {
            self.set();
        }
        alive
    }
}

impl Db {
    /// A pool that connects when it is first used.
    #[expect(
        clippy::expect_used,
        reason = "building fails only for a time limit without a runtime"
    )]
    pub(crate) fn new(settings: &config::Database) -> Self {
        let lost = LostAt::default();
        let connector = Connector {
            options: connect::as_pool(settings),
            lost: lost.clone(),
        };
        let pool = Pool::builder(connector)
            .max_size(usize::try_from(settings.max_connections).unwrap_or(usize::MAX))
            // The last used one first, so that the others become idle.
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("no time limit is given to the pool");
        Self { pool, lost }
    }

    /// Runs several statements on one connection, which is closed unless all of them succeed. A
    /// transaction may be open otherwise.
    pub async fn run<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        connection.reusable = false;
        let result = tokio::time::timeout(RUN_TIMEOUT, work(&mut connection)).await;
        self.settle(
            connection,
            result.unwrap_or_else(|_| Err(timed_out().into())),
        )
    }

    pub(super) async fn connection(&self) -> Result<PooledConnection, sqlx::Error> {
        let error = match tokio::time::timeout(ACQUIRE_TIMEOUT, self.pool.get()).await {
            Ok(Ok(connection)) => {
                return Ok(PooledConnection {
                    connection: Some(connection),
                    reusable: true,
                    lost: self.lost.clone(),
                });
            }
            Ok(Err(PoolError::Backend(error))) => error,
            Ok(Err(PoolError::Closed)) => sqlx::Error::PoolClosed,
            Ok(Err(_)) | Err(_) => sqlx::Error::PoolTimedOut,
        };
        self.lost.get().away = Some(Instant::now());
        Err(error)
    }

    /// Whether a call has found no working connection within this time.
    pub fn was_away(&self, within: Duration) -> bool {
        let away = self.lost.get().away;
        away.is_some_and(|away| away.elapsed() < within)
    }

    /// The use of the pool at the moment.
    pub fn usage(&self) -> deadpool::Status {
        self.pool.status()
    }

    /// Closes every connection that is open now, before its next use.
    pub fn renew(&self) {
        self.lost.set();
    }

    /// Closes connections that were idle for [`IDLE_TIMEOUT`].
    pub fn close_idle(&self) {
        self.pool
            .retain(|_, metrics| metrics.last_used() < IDLE_TIMEOUT);
    }

    /// Closes idle connections now, and the others after their use.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Ends the use of a connection. After a failure it is closed.
    fn settle<T>(
        &self,
        mut connection: PooledConnection,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let connection = connection.connection.take();
        match &result {
            Ok(_) => drop(connection),
            Err(error) => {
                drop(connection.map(Object::take));
                if error.is_lost() {
                    self.renew();
                }
            }
        }
        result
    }

    /// Ends a call that had [`CALL_TIMEOUT`].
    pub(super) fn finish<T>(
        &self,
        connection: PooledConnection,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, sqlx::Error> {
        let result = answer.unwrap_or_else(|_| Err(timed_out()));
        let kind = result.as_ref().map(drop).map_err(Error::of);
        // The error itself is returned.
        let _ = self.settle(connection, kind);
        result
    }
}

fn timed_out() -> sqlx::Error {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

/// A connection in use. Dropped without [`Db::settle`], its call was cut short.
pub(super) struct PooledConnection {
    connection: Option<Object<Connector>>,
    /// It holds no transaction, so it can be used again once the cut call has ended.
    reusable: bool,
    lost: LostAt,
}

const IN_USE: &str = "a connection in use is there";

#[expect(
    clippy::expect_used,
    reason = "only `settle` and `drop` take it, and they own it"
)]
impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(IN_USE)
    }
}

#[expect(
    clippy::expect_used,
    reason = "only `settle` and `drop` take it, and they own it"
)]
impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(IN_USE)
    }
}

/// A visitor who goes away in the middle of a query must not cost the database a new connection.
impl Drop for PooledConnection {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        match Handle::try_current() {
            Ok(runtime) if self.reusable => {
                runtime.spawn(give_back(connection, self.lost.clone()));
            }
            _ => drop(Object::take(connection)),
        }
    }
}

/// Returns a connection to the pool after its cut call has ended.
async fn give_back(mut connection: Object<Connector>, lost: LostAt) {
    if !lost.ping(&mut connection, CALL_TIMEOUT).await {
        drop(Object::take(connection));
    }
}
