//! Single statements on the pool. Each gets a connection of its own, and a limited time.

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, Postgres, SqlStr};

use super::Db;
use super::pool::CALL_TIMEOUT;

/// Rows are collected before they are returned.
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
        Box::pin(async move {
            let mut connection = db.connection().await?;
            let statement = connection.prepare_with(sql, parameters);
            let answer = tokio::time::timeout(CALL_TIMEOUT, statement).await;
            db.finish(connection, answer)
        })
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>> {
        let db = self.clone();
        Box::pin(async move {
            let mut connection = db.connection().await?;
            let description = connection.describe(sql);
            let answer = tokio::time::timeout(CALL_TIMEOUT, description).await;
            db.finish(connection, answer)
        })
    }
}
