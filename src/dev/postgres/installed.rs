//! Finds the newest Postgres server that is installed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::Context as _;

use super::StartError;
use super::server_user::ServerUser;

pub const OLDEST_MAJOR: u32 = 13;

/// Where packages install servers beside `PATH`. A folder, and the prefix of its folders per
/// version, each with a `bin`.
const VERSION_FOLDERS: [(&str, &str); 7] = [
    ("/usr/lib/postgresql", ""),
    ("/usr/lib", "postgresql"),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
    ("/Applications/Postgres.app/Contents/Versions", ""),
];

pub struct Server {
    pub major: u32,
    pub binaries: PathBuf,
}

impl Server {
    /// The newest server that `user` can run. `PG_BIN` overrides the search.
    pub fn newest(user: &ServerUser) -> anyhow::Result<Self> {
        if let Some(folder) = env::var_os("PG_BIN").filter(|folder| !folder.is_empty()) {
            return Self::newest_in([folder.into()], user).with_context(|| {
                format!("PG_BIN is not a folder with initdb and postgres ({OLDEST_MAJOR} or newer)")
            });
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let packaged = VERSION_FOLDERS.into_iter().flat_map(version_folders);
        Self::newest_in(env::split_paths(&path).chain(packaged), user)
            // Last, because it is a slow script on some systems.
            .or_else(|| Self::newest_in([folder_of_pg_config()?], user))
            .ok_or_else(|| StartError::NotInstalled.into())
    }

    fn newest_in(folders: impl IntoIterator<Item = PathBuf>, user: &ServerUser) -> Option<Self> {
        // The real folder, because a link in `PATH` often names one program of several.
        let real: BTreeSet<PathBuf> = folders
            .into_iter()
            .filter_map(|folder| folder.join("postgres").canonicalize().ok())
            .filter_map(|program| program.parent().map(Path::to_path_buf))
            .filter(|folder| folder.join("initdb").exists())
            .collect();
        let servers = real.into_iter().filter_map(|binaries| {
            let major = major_version(&binaries, user)?;
            (major >= OLDEST_MAJOR).then_some(Self { major, binaries })
        });
        servers.max_by_key(|server| server.major)
    }
}

fn version_folders((folder, prefix): (&str, &str)) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path().join("bin"))
        .collect()
}

fn folder_of_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    Some(str::from_utf8(&output.stdout).ok()?.trim().into())
}

/// Runs `postgres --version` as the server's user. `None` if that user may not run it, or if it is
/// a wrapper without a server.
fn major_version(binaries: &Path, user: &ServerUser) -> Option<u32> {
    let mut command = user.command(binaries.join("postgres"));
    let output = command.arg("--version").output().ok()?;
    let version = str::from_utf8(&output.stdout).ok()?;
    let version = version.strip_prefix("postgres (PostgreSQL) ")?;
    let major = version.split(|character: char| !character.is_ascii_digit());
    major.into_iter().next()?.parse().ok()
}
