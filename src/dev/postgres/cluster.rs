//! The cluster's folder, which is locked, created and cleaned up before a server starts on it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{io, thread};

use anyhow::{Context as _, ensure};

use super::server_user::ServerUser;
use super::{Durability, POLL_INTERVAL, SOCKET, SUPERUSER, StartError};

const PREVIOUS_SERVER_TIMEOUT: Duration = Duration::from_secs(30);

/// One server per cluster. The kernel releases the lock when the returned file is closed, however
/// we end.
pub fn lock(directory: &Path, durability: Durability) -> anyhow::Result<File> {
    let path = directory.with_extension("lock");
    let file = open(&path)?;
    let locked = match (file.try_lock(), durability) {
        (Err(TryLockError::WouldBlock), Durability::Keep) => {
            return Err(StartError::AlreadyRunning(directory.to_path_buf()).into());
        }
        (Err(TryLockError::WouldBlock), Durability::Throwaway) => {
            eprintln!("waiting for another run that uses {}", directory.display());
            file.lock()
        }
        (result, _) => result.map_err(io::Error::from),
    };
    locked.with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Opens and locks the log. The server's processes inherit the locked file, so the lock proves that
/// all of an earlier server have exited, even if its owner was killed first.
pub fn open_log(path: &Path) -> anyhow::Result<File> {
    let file = open(path)?;
    let deadline = Instant::now() + PREVIOUS_SERVER_TIMEOUT;
    while let Err(error) = file.try_lock() {
        let waiting = matches!(error, TryLockError::WouldBlock) && Instant::now() < deadline;
        ensure!(
            waiting,
            "the server of an earlier run has not ended, see {} ({error})",
            path.display()
        );
        thread::sleep(POLL_INTERVAL);
    }
    Ok(file)
}

/// Creates the cluster if it is missing, and removes the leftovers of a crash.
pub fn prepare(
    user: &ServerUser,
    binaries: &Path,
    directory: &Path,
    durability: Durability,
) -> anyhow::Result<()> {
    if durability == Durability::Throwaway && pid_file(directory).exists() {
        remove(directory, fs::remove_dir_all)?;
    }
    if !directory.exists() {
        // Renamed once it is complete, so that half a cluster is never used.
        let unfinished = directory.with_extension("new");
        remove(&unfinished, fs::remove_dir_all)?;
        user.create_private(&unfinished)?;
        initdb(user, binaries, &unfinished)?;
        fs::rename(&unfinished, directory).context("moving the new cluster into place")?;
    }
    // No server of ours is alive. Another process may have the old process id by now. The server
    // would take it for a running server and refuse to start.
    remove(&pid_file(directory), fs::remove_file)?;
    remove(&directory.join(format!("{SOCKET}.lock")), fs::remove_file)
}

fn initdb(user: &ServerUser, binaries: &Path, directory: &Path) -> anyhow::Result<()> {
    let output = user
        .command(binaries.join("initdb"))
        .args(["--no-sync", "--encoding=UTF8", "--locale=C"])
        .args(["--auth=trust", "-U", SUPERUSER, "-D"])
        .arg(directory)
        .output()
        .context("starting initdb")?;
    let [stdout, stderr] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    ensure!(output.status.success(), "initdb failed:\n{stdout}{stderr}");
    Ok(())
}

pub fn pid_file(directory: &Path) -> PathBuf {
    directory.join("postmaster.pid")
}

fn open(path: &Path) -> anyhow::Result<File> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.with_context(|| format!("opening {}", path.display()))
}

fn remove(path: &Path, how: fn(PathBuf) -> io::Result<()>) -> anyhow::Result<()> {
    match how(path.to_path_buf()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {}", path.display())),
    }
}
