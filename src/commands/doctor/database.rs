//! The database: whether `serve` could work with it.

use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use super::keys;
use super::reach::judge_skew;
use super::report::Finding;
use crate::engine::clock;
use crate::engine::config::{self, Readable};
use crate::engine::db::inspect::{self, Server};
use crate::engine::db::schema::{self, Schema};
use crate::engine::db::{self, Error};

/// Longest wait for all answers together, without those about the keys.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Connections of a server beside its pool: one for `/readyz`, one that hears of ended sessions.
const BESIDE_POOL: i64 = 2;

const DATABASE: &str = "database";
const ENCODING: &str = "database encoding";
const WRITABLE: &str = "database writable";
const SCHEMA: &str = "migrations";
const RIGHTS: &str = "rights of the role";
const CONNECTIONS: &str = "connection limit";
const CLOCK: &str = "clock of the database";
const NEED_CONNECTION: [&str; 6] = [ENCODING, WRITABLE, SCHEMA, RIGHTS, CONNECTIONS, CLOCK];

pub async fn check(readable: &Readable) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ready = match &readable.database {
        None => {
            findings.push(Finding::skipped(DATABASE, "DATABASE_URL"));
            false
        }
        Some(settings) => {
            let work = look(settings, &mut findings);
            let ready = timeout(TIMEOUT, work).await;
            ready.unwrap_or_else(|_| {
                let detail = format!("no answer within {} s", TIMEOUT.as_secs());
                let remedy = "Look at the load of the database and at the network in between.";
                findings.push(Finding::wrong(DATABASE, detail, remedy));
                false
            })
        }
    };
    for check in NEED_CONNECTION {
        if !findings.iter().any(|found| found.check == check) {
            findings.push(Finding::skipped(check, DATABASE));
        }
    }
    findings.push(keys::check(readable, ready).await);
    findings
}

/// Whether the tables can be read.
async fn look(settings: &config::Database, findings: &mut Vec<Finding>) -> bool {
    // With the settings that a pooler may refuse.
    let mut connection = match db::connect_as_pool(settings).await {
        Ok(connection) => connection,
        Err(error) => {
            findings.push(failed(DATABASE, error));
            return false;
        }
    };
    let sent = clock::now();
    match inspect::server(&mut connection).await {
        Ok(server) => {
            findings.push(Finding::right(
                DATABASE,
                format!("answers, as role {}", server.role),
            ));
            findings.extend(judge_server(&server, settings.max_connections.into()));
            let middle = sent + (clock::now() - sent) / 2;
            findings.push(judge_skew(CLOCK, server.now - middle));
        }
        Err(error) => {
            findings.push(failed(DATABASE, error));
            return false;
        }
    }
    let (schema, ready) = judge_schema(&mut connection).await;
    findings.push(schema);
    findings.push(match inspect::missing_rights(&mut connection).await {
        Ok(missing) if missing.is_empty() => {
            Finding::right(RIGHTS, "it can read and write every table")
        }
        Ok(missing) => Finding::wrong(
            RIGHTS,
            format!("it lacks {}", missing.join(", ")),
            "Run deploy/postgres/roles.sql after `migrate`, as docs/going-live.md describes.",
        ),
        Err(error) => failed(RIGHTS, error),
    });
    ready
}

fn judge_server(server: &Server, pool: i64) -> [Finding; 3] {
    let encoding = if server.encoding == "UTF8" {
        Finding::right(ENCODING, "UTF8")
    } else {
        failed(ENCODING, Error::ENCODING)
    };
    let writable = if server.read_only {
        failed(WRITABLE, Error::READ_ONLY)
    } else {
        Finding::right(WRITABLE, "yes")
    };
    let (need, allowed) = (pool + BESIDE_POOL, server.connections);
    let detail = format!("each server opens up to {need}, and the database allows {allowed}");
    let connections = if need <= allowed {
        Finding::right(CONNECTIONS, detail).hint("Multiply the first number by your servers.")
    } else {
        Finding::wrong(
            CONNECTIONS,
            detail,
            "Lower DATABASE_MAX_CONNECTIONS, or raise max_connections of Postgres or the connection \
             limit of the role or the database.",
        )
    };
    [encoding, writable, connections]
}

/// The second value says whether the tables are there.
async fn judge_schema(connection: &mut PgConnection) -> (Finding, bool) {
    let found = match schema::check(&mut *connection).await {
        Ok(Schema::Current) => return (Finding::right(SCHEMA, "all are applied"), true),
        Ok(Schema::ReadOnly) => return (Finding::skipped(SCHEMA, WRITABLE), true),
        Ok(Schema::Behind(missing)) => Finding::wrong(
            SCHEMA,
            format!("{missing} are missing"),
            "Run `migrate` with the role that owns the tables.",
        ),
        Ok(Schema::Different(version)) => Finding::wrong(
            SCHEMA,
            format!("migration {version} was applied with another text"),
            "DATABASE_URL leads to the database of another program or release. If you edited a \
             migration that was applied, undo that and write a new one.",
        ),
        Err(error) => failed(SCHEMA, error),
    };
    (found, false)
}

pub fn failed(check: &str, error: Error) -> Finding {
    Finding::wrong(check, error.to_string(), error.remedy())
}
