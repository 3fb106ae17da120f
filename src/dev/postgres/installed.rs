//! The newest `PostgreSQL` server that is installed here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs, str};

use anyhow::{Context, Result};

use super::{StartError, server_user::ServerUser};

pub(super) const OLDEST_MAJOR: u32 = 13;

/// Where packages put servers beside `PATH`: folder, beginning of the folder per version, the rest.
const VERSION_FOLDERS: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

pub(super) struct Server {
    pub(super) major: u32,
    pub(super) binaries: PathBuf,
}

impl Server {
    /// The newest one that `account` can run. `$PG_BIN` decides alone when it is set.
    pub(super) fn newest(account: &ServerUser) -> Result<Self> {
        if let Some(folder) = env::var_os("PG_BIN").filter(|folder| !folder.is_empty()) {
            return Self::newest_in([folder.into()], account).with_context(|| {
                format!("PG_BIN is not a folder with initdb and postgres ({OLDEST_MAJOR} or newer)")
            });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let packaged = VERSION_FOLDERS
            .iter()
            .flat_map(|(folder, prefix, rest)| version_folders(folder, prefix, rest));
        Self::newest_in(env::split_paths(&path).chain(packaged), account)
            // Last, because it is a slow script on some systems.
            .or_else(|| Self::newest_in([named_by_pg_config()?], account))
            .ok_or_else(|| StartError::NotInstalled.into())
    }

    fn newest_in(folders: impl IntoIterator<Item = PathBuf>, account: &ServerUser) -> Option<Self> {
        // Followed to the real folder, since a link in `PATH` often names one program of several.
        let real: BTreeSet<PathBuf> = folders
            .into_iter()
            .filter_map(|folder| folder.join("postgres").canonicalize().ok())
            .filter_map(|program| program.parent().map(Path::to_path_buf))
            .filter(|folder| folder.join("initdb").exists())
            .collect();
        real.into_iter()
            .filter_map(|binaries| {
                Some(Self {
                    major: major_version(&binaries, account)?,
                    binaries,
                })
            })
            .filter(|server| server.major >= OLDEST_MAJOR)
            .max_by_key(|server| server.major)
    }
}

fn version_folders(folder: &str, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path().join(rest))
        .collect()
}

fn named_by_pg_config() -> Option<PathBuf> {
    let Output { stdout, .. } = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(str::from_utf8(&stdout).ok()?.trim().into())
}

/// Asked as the server's user, so that a program it may not run does not count; nor does a wrapper without a server.
fn major_version(binaries: &Path, account: &ServerUser) -> Option<u32> {
    let version = account
        .command(binaries.join("postgres"))
        .arg("--version")
        .output()
        .ok()?;
    let version = str::from_utf8(&version.stdout)
        .ok()?
        .strip_prefix("postgres (PostgreSQL) ")?;
    version
        .split(|character: char| !character.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}
