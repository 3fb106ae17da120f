//! A private `PostgreSQL` server for development and tests: no TCP port, no configuration, gone when its owner is gone.

mod installed;
mod server_user;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context, Result, bail, ensure};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use installed::{OLDEST_MAJOR, Server};
use server_user::ServerUser;

/// Long, because after a crash the server replays its journal first.
const READY_WITHIN: Duration = Duration::from_mins(1);
const PREVIOUS_ENDS_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(5);
const LOG_LINES_IN_ERRORS: usize = 15;

/// Only part of the socket's name: nothing listens on TCP.
const PORT: &str = "5432";
const SOCKET: &str = ".s.PGSQL.5432";
const SUPERUSER: &str = "postgres";

const SETTINGS: [&str; 2] = ["listen_addresses=", "unix_socket_permissions=0700"];
/// A crash may eat the data, which no test would miss; many applications under test share one server.
const THROWAWAY_SETTINGS: [&str; 4] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=200",
];

/// Runs the server, and stops it when standard input ends: the kernel closes that pipe however its owner ends. The
/// signal is repeated, because a server that has only just started ignores it. The shell outlives signals that may
/// reach the whole group, since without it nothing would stop the server.
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

/// What the data is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives crashes; a second start in the same place is refused.
    Keep,
    /// For tests: fast, and made anew after a crash; a second start in the same place waits for its turn.
    Throwaway,
}

/// The failures a caller may want to tell apart; any other is an [`anyhow::Error`] with the server's own words.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "no PostgreSQL server ({OLDEST_MAJOR} or newer) is installed: run `apt-get install postgresql` or \
         `brew install postgresql@17`, or set DATABASE_URL to a database of your own"
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
    /// Starts the newest installed server on a cluster below `parent`, both created when missing. Blocks: about a
    /// second the first time, about a tenth of one later.
    pub fn start(parent: &Path, durability: Durability) -> Result<Self> {
        let account = ServerUser::find()?;
        let Server { major, binaries } = Server::newest(&account)?;
        let place = account.usable_place(parent)?;
        let directory = place.join(major.to_string());
        let lock = lock(&directory, durability)?;
        let log_path = place.join(format!("{major}.log"));
        let log = wait_for_previous_server(&log_path)?;
        prepare_cluster(&account, &binaries, &directory, durability)?;

        log.set_len(0)?;
        let mut command = account.command("/bin/sh");
        command
            .args(["-c", SUPERVISE, "sh"])
            .arg(binaries.join("postgres"));
        command
            .arg("-D")
            .arg(&directory)
            .args(["-p", PORT, "-k", &quoted(&directory)]);
        command.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        if durability == Durability::Throwaway {
            command.args(
                THROWAWAY_SETTINGS
                    .iter()
                    .flat_map(|setting| ["-c", setting]),
            );
        }
        // In a group of its own: Ctrl-C in the terminal is for us, and the server ends after us.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        let supervisor = command.spawn().context("starting /bin/sh")?;

        let mut server = Self {
            supervisor,
            directory,
            log: log_path,
            _lock: lock,
        };
        server.wait_until_ready()?;
        Ok(server)
    }

    /// Connects as the superuser over the Unix socket. Port and `sslmode` are there because the caller's `PGPORT` and
    /// `PGSSLMODE` would count otherwise.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory.to_string_lossy();
        let host = utf8_percent_encode(&directory, NON_ALPHANUMERIC);
        let database = utf8_percent_encode(database, NON_ALPHANUMERIC);
        format!("postgres://{SUPERUSER}@{host}:{PORT}/{database}?sslmode=disable")
    }

    /// Data and socket; the log is beside it, with `.log` appended. Deleting it all means starting afresh.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        loop {
            // The eighth line is the state: the file exists long before connections are accepted.
            let pid_file = fs::read_to_string(pid_file(&self.directory)).unwrap_or_default();
            if pid_file
                .lines()
                .nth(7)
                .is_some_and(|state| state.trim() == "ready")
            {
                return Ok(());
            }
            let problem = match self.supervisor.try_wait()? {
                Some(_) => "ended at once",
                None if Instant::now() > deadline => "is not ready in time",
                None => {
                    thread::sleep(POLL_EVERY);
                    continue;
                }
            };
            let log = fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let skipped = log.lines().count().saturating_sub(LOG_LINES_IN_ERRORS);
            let last: Vec<&str> = log.lines().skip(skipped).collect();
            let directory = self.directory.display();
            bail!(
                "PostgreSQL in {directory} {problem}. Its log ends with:\n{}",
                last.join("\n")
            );
        }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // Waiting closes the pipe first. If it fails nothing is left to do, and the pipe is closed either way.
        let _ = self.supervisor.wait();
    }
}

/// Held while the returned file is open; the kernel releases it however we end.
fn lock(directory: &Path, durability: Durability) -> Result<File> {
    let path = directory.with_extension("lock");
    let file = open(&path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) if durability == Durability::Keep => {
            return Err(StartError::AlreadyRunning(directory.to_path_buf()).into());
        }
        Err(TryLockError::WouldBlock) => {
            eprintln!("waiting for another run that uses {}", directory.display());
            file.lock()
                .with_context(|| format!("locking {}", path.display()))?;
        }
        result => result.with_context(|| format!("locking {}", path.display()))?,
    }
    Ok(file)
}

/// All processes of a server share the descriptor of its log, and with it the lock on that file. Whoever gets the lock
/// knows that the last of them is gone, even when the server's owner was killed first.
fn wait_for_previous_server(log: &Path) -> Result<File> {
    let file = open(log)?;
    let deadline = Instant::now() + PREVIOUS_ENDS_WITHIN;
    while let Err(error) = file.try_lock() {
        let waiting = matches!(error, TryLockError::WouldBlock) && Instant::now() < deadline;
        ensure!(
            waiting,
            "the server of an earlier run has not ended, see {} ({error})",
            log.display()
        );
        thread::sleep(POLL_EVERY);
    }
    Ok(file)
}

fn prepare_cluster(
    account: &ServerUser,
    binaries: &Path,
    directory: &Path,
    durability: Durability,
) -> Result<()> {
    if durability == Durability::Throwaway && pid_file(directory).exists() {
        remove(fs::remove_dir_all, directory)?;
    }
    if !directory.exists() {
        // Under another name until it is complete, so that half a cluster is never taken for one.
        let unfinished = directory.with_extension("new");
        remove(fs::remove_dir_all, &unfinished)?;
        account.create_private(&unfinished)?;
        let mut initdb = account.command(binaries.join("initdb"));
        initdb.args([
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
            "--auth=trust",
            "-U",
            SUPERUSER,
        ]);
        let output = initdb.arg("-D").arg(&unfinished).output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.context("starting initdb")?;
        let (stdout, stderr) = (
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr),
        );
        ensure!(status.success(), "initdb failed:\n{stdout}{stderr}");
        fs::rename(&unfinished, directory).context("moving the new cluster into place")?;
    }
    // No server of ours is alive, so these were left by a crash. Their process id may be anybody's by now, and the
    // server would take that process for its twin and refuse to start.
    remove(fs::remove_file, &pid_file(directory))?;
    remove(fs::remove_file, &directory.join(format!("{SOCKET}.lock")))
}

fn pid_file(directory: &Path) -> PathBuf {
    directory.join("postmaster.pid")
}

/// The setting is a list; quotes keep a comma in the path from ending an item.
fn quoted(directory: &Path) -> String {
    format!("\"{}\"", directory.to_string_lossy().replace('"', "\"\""))
}

fn open(path: &Path) -> Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

fn remove(how: impl Fn(PathBuf) -> io::Result<()>, path: &Path) -> Result<()> {
    match how(path.to_path_buf()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {}", path.display())),
    }
}
