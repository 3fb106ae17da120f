//! Why a call to the database failed.

use std::{fmt, io};

use sqlx::error::DatabaseError;

/// A failed query. Its text names the kind of failure and never a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database {0}")]
pub struct Error(Kind);

/// Longest name in Postgres, in bytes.
const NAME_MAX: usize = 63;

/// The name of a constraint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Constraint {
    bytes: [u8; NAME_MAX],
    length: usize,
}

/// The kind of failure, as the log and the text of the error name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Kind {
    #[error("has no free connection, or cannot be reached")]
    PoolTimedOut,
    #[error("connections are closed")]
    PoolClosed,
    #[error("does not answer in time")]
    NoAnswer,
    #[error("refuses connections: nothing listens on that host and port")]
    NothingListens,
    #[error("has a host name that cannot be resolved")]
    UnknownHost,
    #[error("cannot be reached through this socket or network")]
    Unreachable,
    #[error("connection broke")]
    Broke,
    #[error("has a certificate of an unknown authority (sslrootcert names the authority's file)")]
    UnknownAuthority,
    #[error("has a certificate for another host name")]
    OtherHostName,
    #[error("has a certificate that has expired or is not valid yet")]
    CertificateExpired,
    #[error("offers no TLS")]
    NoTls,
    #[error("connection could not be secured")]
    Tls,
    #[error("is read-only")]
    ReadOnly,
    #[error("refuses this user or password")]
    Password,
    #[error("does not let this user in from here (pg_hba.conf)")]
    NotAdmitted,
    #[error("server has no database of this name")]
    NoDatabase,
    #[error("user lacks a right")]
    NoRights,
    #[error(
        "pooler refuses a start parameter (ignore_startup_parameters = extra_float_digits,options)"
    )]
    StartParameter,
    #[error("has another encoding than UTF8")]
    Encoding,
    #[error("gave no lock in time, because another transaction holds it")]
    Locked,
    #[error("stopped a transaction that is in conflict with another one")]
    Conflict,
    #[error("server has no disk space left")]
    DiskFull,
    #[error("has no connection left for us")]
    TooManyConnections,
    #[error("stopped a statement that took too long")]
    TooLong,
    #[error("is shutting down or starting")]
    Stopping,
    #[error("passes no notifications on, as behind a pooler in transaction mode")]
    NoNotifications,
    #[error("refused a value")]
    Constraint(Constraint),
    #[error("refused a statement")]
    Refused,
    #[error("answered unexpectedly")]
    Unexpected,
    #[error("call broke")]
    TaskBroke,
}

impl Error {
    /// The task that ran the query panicked. The panic hook has logged where.
    pub const TASK_BROKE: Self = Self(Kind::TaskBroke);
    /// Another server than the primary answers.
    pub const READ_ONLY: Self = Self(Kind::ReadOnly);
    /// The encoding of the database is not UTF8.
    pub const ENCODING: Self = Self(Kind::Encoding);
    /// The server has closed the connection, or the network has cut it.
    pub const BROKE: Self = Self(Kind::Broke);
    /// `LISTEN` is refused, or would reach a session that others use too.
    pub const NO_NOTIFICATIONS: Self = Self(Kind::NoNotifications);
    /// Another transaction holds a lock.
    pub(super) const LOCKED: Self = Self(Kind::Locked);
    /// The client gave up waiting.
    pub(super) const NO_ANSWER: Self = Self(Kind::NoAnswer);

    /// Whether other connections that are as old lead to the same dead or demoted server.
    pub(super) fn is_lost(self) -> bool {
        matches!(
            self.0,
            Kind::NoAnswer
                | Kind::Broke
                | Kind::Tls
                | Kind::ReadOnly
                | Kind::Stopping
                | Kind::Unexpected
        )
    }

    /// Whether waiting does not help, because an operator has to change something.
    pub fn is_final(self) -> bool {
        matches!(
            self.0,
            Kind::UnknownAuthority
                | Kind::OtherHostName
                | Kind::CertificateExpired
                | Kind::NoTls
                | Kind::Password
                | Kind::NotAdmitted
                | Kind::NoRights
                | Kind::StartParameter
                | Kind::Encoding
        )
    }

    /// The kind of failure, without a line in the log.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        Self(match error {
            sqlx::Error::PoolTimedOut => Kind::PoolTimedOut,
            sqlx::Error::PoolClosed => Kind::PoolClosed,
            sqlx::Error::Io(error) => of_io(error),
            sqlx::Error::Tls(error) => of_tls(&error.to_string()),
            sqlx::Error::Database(error) => of_database(&**error),
            _ => Kind::Unexpected,
        })
    }

    pub(super) fn kind(self) -> Kind {
        self.0
    }

    /// Whether the database knows the statement and does not run it.
    pub(super) fn is_refusal(self) -> bool {
        matches!(self.0, Kind::Refused)
    }

    /// The name of the constraint that a row violates, such as `clubs_name_key`. `None` for every
    /// other failure.
    pub fn violated(&self) -> Option<&str> {
        let Kind::Constraint(constraint) = &self.0 else {
            return None;
        };
        str::from_utf8(constraint.bytes.get(..constraint.length)?).ok()
    }

    /// Whether an operator can act on the kind. The others need the server's own words.
    pub(super) fn has_reason(self) -> bool {
        !matches!(
            self.0,
            Kind::Refused | Kind::Constraint(_) | Kind::Unexpected
        )
    }
}

impl Constraint {
    fn of(error: &dyn DatabaseError) -> Option<Self> {
        let name = error.constraint()?.as_bytes();
        let mut bytes = [0; NAME_MAX];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self {
            bytes,
            length: name.len(),
        })
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Constraint")
    }
}

fn of_io(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Kind::NothingListens,
        io::ErrorKind::TimedOut => Kind::NoAnswer,
        io::ErrorKind::NotFound
        | io::ErrorKind::PermissionDenied
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::AddrNotAvailable => Kind::Unreachable,
        // rustls reports a refused certificate this way.
        io::ErrorKind::InvalidData => of_tls(&error.to_string()),
        // The resolver's errors have no kind of their own.
        _ if error.to_string().contains("lookup address") => Kind::UnknownHost,
        _ => Kind::Broke,
    }
}

/// The library's text is read, never shown.
fn of_tls(text: &str) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["UnknownIssuer", "CaUsedAsEndEntity", "BadSignature"]) {
        Kind::UnknownAuthority
    } else if has(&["not valid for name", "NotValidForName"]) {
        Kind::OtherHostName
    } else if has(&["xpired", "not valid yet", "NotValidYet"]) {
        Kind::CertificateExpired
    } else if has(&["does not support TLS"]) {
        Kind::NoTls
    } else {
        Kind::Tls
    }
}

/// The codes are in appendix A of the PostgreSQL documentation.
fn of_database(error: &dyn DatabaseError) -> Kind {
    match error.code().as_deref().unwrap_or_default() {
        "25006" => Kind::ReadOnly,
        "28P01" => Kind::Password,
        "28000" => Kind::NotAdmitted,
        "3D000" => Kind::NoDatabase,
        "42501" => Kind::NoRights,
        "23503" | "23505" | "23514" | "23P01" => {
            Constraint::of(error).map_or(Kind::Refused, Kind::Constraint)
        }
        "22P05" | "22021" => Kind::Encoding,
        "40001" | "40P01" => Kind::Conflict,
        "53100" => Kind::DiskFull,
        "53300" => Kind::TooManyConnections,
        "55P03" => Kind::Locked,
        // PgBouncer uses one code for all of its refusals.
        "08P01" => match error.message() {
            text if text.contains("startup parameter") => Kind::StartParameter,
            text if text.contains("no such database") => Kind::NoDatabase,
            text if text.contains("no such user") => Kind::Password,
            _ => Kind::Refused,
        },
        "57014" => Kind::TooLong,
        code if code.starts_with("57") => Kind::Stopping,
        _ => Kind::Refused,
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // The code of an error may be logged. Its text may quote values.
        let database_error = error.as_database_error();
        let code = database_error
            .and_then(DatabaseError::code)
            .unwrap_or_default();
        let kind = Self::of(&error);
        if let Some(constraint) = kind.violated() {
            tracing::warn!(
                event = "constraint_violated",
                constraint,
                "the database refused a value"
            );
            return kind;
        }
        tracing::error!(event = "database_error", kind = %kind.0, %code, "a database call failed");
        kind
    }
}
