//! A private Postgres server for development and tests. It listens on a Unix socket only, needs no
//! configuration, and stops when its owner ends.

mod cluster;
mod installed;
mod server_user;

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use self::installed::{OLDEST_MAJOR, Server};
use self::server_user::ServerUser;

/// Long enough for crash recovery.
const READY_TIMEOUT: Duration = Duration::from_mins(1);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// Lines of the server's log in an error.
const LOG_LINES: usize = 15;

/// Only part of the socket's name, because nothing listens on TCP.
const PORT: &str = "5432";
const SOCKET: &str = ".s.PGSQL.5432";
const SUPERUSER: &str = "postgres";

const SETTINGS: &[&str] = &["listen_addresses=", "unix_socket_permissions=0700"];
/// Tests do not need their data after a crash. Many apps under test share one server.
const THROWAWAY_SETTINGS: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
];

/// Runs the server, and stops it at the end of standard input. The kernel closes that pipe however
/// the owner ends. The signal is repeated, because a server that has only just started ignores it.
/// The shell ignores signals to the process group, because only the shell stops the server.
const SUPERVISE: &str = r#"
trap '' HUP INT TERM
exec 3<&0 </dev/null
"$@" 3<&- &
server=$!
{ read -r _ <&3; while kill -INT "$server"; do sleep 1; done; } 2>/dev/null &
watcher=$!
exec 3<&-
wait "$server"
status=$?
kill -KILL "$watcher"
exit "$status"
"#;

/// What happens to the data after a crash, and to a second start in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The data survives a crash. A second start is refused.
    Keep,
    /// For tests. Fast, and created anew after a crash. A second start waits for its turn.
    Throwaway,
}

/// Failures that a caller may want to tell apart. All others are an [`anyhow::Error`] with the
/// server's own words.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "no PostgreSQL server ({OLDEST_MAJOR} or newer) is installed: run \
         `apt-get install postgresql` or `brew install postgresql@17`, \
         or set DATABASE_URL to a database of your own"
    )]
    NotInstalled,
    #[error("another one runs here: {} is in use", .0.display())]
    AlreadyRunning(PathBuf),
}

/// A running server. Dropping it stops the server and waits until it has stopped.
#[derive(Debug)]
pub struct PrivatePostgres {
    supervisor: Child,
    directory: PathBuf,
    log: PathBuf,
    _lock: File,
}

impl PrivatePostgres {
    /// Starts the newest installed server on a cluster below `parent`, and creates both if missing.
    /// Blocks for about 1 s the first time, and 0.1 s later.
    pub fn start(parent: &Path, durability: Durability) -> anyhow::Result<Self> {
        let user = ServerUser::find()?;
        let Server { major, binaries } = Server::newest(&user)?;
        let place = user.usable_place(parent)?;
        let directory = place.join(major.to_string());
        let lock = cluster::lock(&directory, durability)?;
        let log_path = place.join(format!("{major}.log"));
        let log = cluster::open_log(&log_path)?;
        cluster::prepare(&user, &binaries, &directory, durability)?;
        log.set_len(0)?;
        let more_settings = match durability {
            Durability::Keep => &[],
            Durability::Throwaway => THROWAWAY_SETTINGS,
        };
        let settings = SETTINGS.iter().chain(more_settings);
        let supervisor = user
            .command("/bin/sh")
            .args(["-c", SUPERVISE, "sh"])
            .arg(binaries.join("postgres"))
            .arg("-D")
            .arg(&directory)
            .args(["-p", PORT, "-k", &quoted(&directory)])
            .args(settings.flat_map(|setting| ["-c", setting]))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // A group of its own, so that Ctrl-C reaches us first and the server ends after us.
            .process_group(0)
            .spawn()
            .context("starting /bin/sh")?;
        let mut server = Self {
            supervisor,
            directory,
            log: log_path,
            _lock: lock,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Connects as the superuser over the Unix socket. Port and `sslmode` are explicit, because
    /// sqlx would read `PGPORT` and `PGSSLMODE` otherwise.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory.to_string_lossy();
        let host = utf8_percent_encode(&directory, NON_ALPHANUMERIC);
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgres://{SUPERUSER}@{host}:{PORT}/{database}?sslmode=disable")
    }

    /// Holds the data and the socket. The log is beside it, with `.log` appended.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        let problem = loop {
            let pid_file = fs::read_to_string(cluster::pid_file(&self.directory));
            // The eighth line is the state. The file exists before connections are accepted.
            let state = pid_file.unwrap_or_default();
            if state.lines().nth(7).map(str::trim) == Some("ready") {
                return Ok(());
            }
            if self.supervisor.try_wait()?.is_some() {
                break "ended at once";
            }
            if Instant::now() > deadline {
                break "is not ready in time";
            }
            thread::sleep(POLL_INTERVAL);
        };
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        let directory = self.directory.display();
        bail!(
            "PostgreSQL in {directory} {problem}. Its log ends with:\n{}",
            last.join("\n")
        );
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // `wait` closes the pipe first, and the server stops even if waiting fails.
        let _ = self.supervisor.wait();
    }
}

/// The setting is a list. Quotes keep a comma in the path from ending an item.
fn quoted(directory: &Path) -> String {
    format!("\"{}\"", directory.to_string_lossy().replace('"', "\"\""))
}
