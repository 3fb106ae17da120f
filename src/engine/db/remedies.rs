//! What an operator can do about a failure of the database.

use super::Error;
use super::error::Kind;

impl Error {
    /// One or two sentences for `doctor`.
    pub fn remedy(self) -> &'static str {
        match self.kind() {
            Kind::NothingListens | Kind::Unreachable | Kind::UnknownHost => {
                "Start Postgres, or correct host and port in DATABASE_URL."
            }
            Kind::NoAnswer
            | Kind::PoolTimedOut
            | Kind::PoolClosed
            | Kind::Broke
            | Kind::Stopping => {
                "Look whether Postgres runs, and for a firewall or load balancer in between. Then \
                 try again."
            }
            Kind::UnknownAuthority => {
                "Put sslrootcert=/path/to/ca.pem with the authority of the server into DATABASE_URL."
            }
            Kind::OtherHostName => "Use the host name of the certificate in DATABASE_URL.",
            Kind::CertificateExpired => {
                "Renew the certificate of Postgres, and check the clock of this machine."
            }
            Kind::NoTls | Kind::Tls => {
                "Switch TLS on in Postgres (ssl = on). DATABASE_TLS=insecure is for a network of \
                 your own."
            }
            Kind::ReadOnly => {
                "Let DATABASE_URL name the primary server. default_transaction_read_only must be off."
            }
            Kind::Password => {
                "Correct user and password in DATABASE_URL. Special characters need % and their code."
            }
            Kind::NotAdmitted => "Add a line for this user, database and address to pg_hba.conf.",
            Kind::NoNotifications => "Nothing. Caches expire by age, as docs/growing.md describes.",
            Kind::NoDatabase => {
                "Make the database (createdb), or correct its name in DATABASE_URL."
            }
            Kind::NoRights => {
                "Run deploy/postgres/roles.sql after `migrate`, as docs/going-live.md describes."
            }
            Kind::StartParameter => {
                "Set ignore_startup_parameters = extra_float_digits,options in PgBouncer."
            }
            Kind::Encoding => "Make the database with encoding UTF8, and move the data there.",
            Kind::TooManyConnections => {
                "Lower DATABASE_MAX_CONNECTIONS, close other connections, or raise the limit."
            }
            Kind::DiskFull => "Free disk space on the server of the database.",
            Kind::Locked | Kind::Conflict | Kind::TooLong => {
                "Look at pg_stat_activity for what keeps the database busy. Then try again."
            }
            Kind::Constraint(_) | Kind::Refused | Kind::Unexpected | Kind::TaskBroke => {
                "Look at the log of Postgres, which has its own words."
            }
        }
    }
}
