//! The connection pool, with limits on each call and a way out of a failover.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgConnectOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Connection as _, Describe, Either, Execute, Executor, PgConnection, Postgres, SqlStr};
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
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
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
        if metrics.last_used() > PING_AFTER {
            let ping = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
            ping.map_err(|_| RecycleError::message("no answer"))??;
        }
        Ok(())
    }
}

/// The instant at which a connection was last found dead or read-only.
#[derive(Clone, Debug, Default)]
struct LostAt(Arc<Mutex<Option<Instant>>>);

impl LostAt {
    fn get(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection of this age may lead to the server that was lost.
    fn outdates(&self, age: Duration) -> bool {
        self.get().is_some_and(|lost| lost.elapsed() <= age)
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

    /// A connection for several statements. End its use with [`Db::settle`].
    pub async fn acquire(&self) -> Result<PooledConnection, Error> {
        Ok(self.connection().await?)
    }

    async fn connection(&self) -> Result<PooledConnection, sqlx::Error> {
        match tokio::time::timeout(ACQUIRE_TIMEOUT, self.pool.get()).await {
            Ok(Ok(connection)) => Ok(PooledConnection(Some(connection))),
            Ok(Err(PoolError::Backend(error))) => Err(error),
            Ok(Err(PoolError::Closed)) => Err(sqlx::Error::PoolClosed),
            Ok(Err(_)) | Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// Closes every connection that is open now, before its next use.
    pub fn renew(&self) {
        *self.lost.get() = Some(Instant::now());
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

    /// Ends the use of an acquired connection. After a failure it is closed, because a transaction
    /// may still be open.
    pub fn settle<T>(
        &self,
        mut connection: PooledConnection,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        match &result {
            Ok(_) => drop(connection.0.take()),
            Err(error) if error.is_lost() => self.renew(),
            Err(_) => {}
        }
        result
    }

    /// Ends a call that had [`CALL_TIMEOUT`].
    fn finish<T>(
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

/// A connection in use. Without [`Db::settle`] it is closed, because a call that was cut short leaves
/// it in an unknown state.
pub struct PooledConnection(Option<Object<Connector>>);

const IN_USE: &str = "a connection in use is there";

#[expect(
    clippy::expect_used,
    reason = "only `settle` and `drop` take it, and they own it"
)]
impl Deref for PooledConnection {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.0.as_ref().expect(IN_USE)
    }
}

#[expect(
    clippy::expect_used,
    reason = "only `settle` and `drop` take it, and they own it"
)]
impl DerefMut for PooledConnection {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.as_mut().expect(IN_USE)
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}

/// Each call gets its own connection. Rows are collected before they are returned.
impl<'p> Executor<'p> for &'_ Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        let rows = async move {
            let mut connection = db.connection().await?;
            let rows = connection.fetch_many(query).try_collect::<Vec<_>>();
            let answer = tokio::time::timeout(CALL_TIMEOUT, rows).await;
            let rows = db.finish(connection, answer)?;
            Ok::<_, sqlx::Error>(stream::iter(rows).map(Ok))
        };
        stream::once(rows).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        E: 'q + Execute<'q, Postgres>,
    {
        let db = self.clone();
        Box::pin(async move {
            let mut connection = db.connection().await?;
            let row = connection.fetch_optional(query);
            let answer = tokio::time::timeout(CALL_TIMEOUT, row).await;
            db.finish(connection, answer)
        })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'p: 'e,
    {
        let db = self.clone();
        Box::pin(async move { db.connection().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>> {
        let db = self.clone();
        Box::pin(async move { db.connection().await?.describe(sql).await })
    }
}
