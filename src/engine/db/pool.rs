//! The connection pool, with limits on each call and a way out of a failover.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgConnectOptions, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
};
use sqlx::{
    ConnectOptions as _, Connection as _, Describe, Either, Execute, Executor, PgConnection,
    PgPool, Postgres, SqlStr,
};
use tokio::time::error::Elapsed;

use super::Error;
use crate::engine::config;

/// Longest wait for a free connection. Short, so that an outage is an error and not a hang.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is pinged before use.
const PING_AFTER: Duration = Duration::from_secs(5);
/// Longest wait for the answer to a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);
/// Lifetime of a connection. Renewing it also finds a new primary after a failover.
const MAX_LIFETIME: Duration = Duration::from_mins(30);
/// Idle connections above the minimum are closed after this.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);
/// Longest wait for the answer to a statement. Longer than the server's own limits, because it is
/// for a network that loses packets.
const CALL_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest wait for a connection outside the pool.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limits that the server enforces on each connection. The last one frees a connection whose
/// transaction was abandoned.
const SERVER_TIMEOUTS: [(&str, &str); 3] = [
    ("statement_timeout", "3s"),
    ("lock_timeout", "2s"),
    ("idle_in_transaction_session_timeout", "5s"),
];

/// The connection pool. Clones share it.
///
/// A failover leaves connections to a server that is dead or read-only. The first call that finds
/// one closes it, and every connection that is as old is closed before its next use.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
    lost: LostAt,
}

/// The instant at which a connection was last found dead or read-only.
#[derive(Clone, Default)]
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
    pub(crate) fn new(settings: &config::Database) -> Self {
        let lost = LostAt::default();
        let before_acquire = lost.clone();
        let pool = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .max_lifetime(MAX_LIFETIME)
            .idle_timeout(IDLE_TIMEOUT)
            // The library would ping before each use. Once after a pause is enough.
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                let outdated = before_acquire.outdates(meta.age);
                Box::pin(async move {
                    if outdated || meta.idle_for < PING_AFTER {
                        return Ok(!outdated);
                    }
                    let pinged = tokio::time::timeout(PING_TIMEOUT, connection.ping()).await;
                    Ok(matches!(pinged, Ok(Ok(()))))
                })
            })
            .connect_lazy_with(options(settings).options(SERVER_TIMEOUTS));
        Self { pool, lost }
    }

    /// Closes every connection that is open now, before its next use.
    pub fn renew(&self) {
        *self.lost.get() = Some(Instant::now());
    }

    /// Ends the use of an acquired connection. One to a dead or read-only server is closed.
    pub fn settle<T>(
        &self,
        connection: PoolConnection<Postgres>,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        if result.as_ref().is_err_and(|error| error.is_lost()) {
            self.renew();
            drop(connection.detach());
        }
        result
    }

    /// Ends a call that had [`CALL_TIMEOUT`].
    fn finish<T>(
        &self,
        connection: PoolConnection<Postgres>,
        answer: Result<Result<T, sqlx::Error>, Elapsed>,
    ) -> Result<T, sqlx::Error> {
        let result =
            answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()));
        let kind = result.as_ref().map(drop).map_err(Error::of);
        // The error itself is returned.
        let _ = self.settle(connection, kind);
        result
    }
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").finish_non_exhaustive()
    }
}

impl Deref for Db {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        &self.pool
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
            let mut connection = db.pool.acquire().await?;
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
            let mut connection = db.pool.acquire().await?;
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
        let pool = self.pool.clone();
        Box::pin(async move { pool.acquire().await?.prepare_with(sql, parameters).await })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>> {
        let pool = self.pool.clone();
        Box::pin(async move { pool.acquire().await?.describe(sql).await })
    }
}

/// Connection options with statement logging off.
pub(super) fn options(settings: &config::Database) -> PgConnectOptions {
    let options = settings.options.clone();
    options
        .application_name("matrica-starter")
        .disable_statement_logging()
}

/// A connection outside the pool and without its timeouts, for work on whole tables.
pub async fn connect(settings: &config::Database) -> Result<PgConnection, Error> {
    connect_with(&options(settings)).await
}

/// A connection as the pool makes them. Unlike the pool it says why there is none.
pub async fn connect_as_pool(settings: &config::Database) -> Result<PgConnection, Error> {
    connect_with(&options(settings).options(SERVER_TIMEOUTS)).await
}

async fn connect_with(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    let connecting = PgConnection::connect_with(options);
    match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => Ok(connected?),
        Err(_) => Err(Error::NO_ANSWER),
    }
}
