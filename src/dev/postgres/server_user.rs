//! Who the server runs as, and a place where that user can work.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use anyhow::{Context, Result, ensure};

use super::SOCKET;

/// A socket address holds 104 bytes on macOS and 108 on Linux, the final NUL included.
const SOCKET_PATH_BYTES: usize = 100;

pub(super) struct ServerUser {
    own_uid: u32,
    /// User and group of the server, set only when we are root: `initdb` refuses root.
    server: Option<(u32, u32)>,
}

impl ServerUser {
    pub(super) fn find() -> Result<Self> {
        let id = Command::new("id")
            .arg("-u")
            .output()
            .context("running `id -u`")?;
        let own_uid = String::from_utf8_lossy(&id.stdout).trim().parse();
        let own_uid = own_uid.context("reading the answer of `id -u`")?;
        if own_uid != 0 {
            return Ok(Self {
                own_uid,
                server: None,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
        let server = ids(&passwd, "postgres").or_else(|| ids(&passwd, "nobody"));
        ensure!(
            server.is_some(),
            "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it"
        );
        Ok(Self { own_uid, server })
    }

    /// A command as the server's user, in a folder everyone may enter, deaf to the caller's `PG*` variables.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir("/")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        if let Some((uid, gid)) = self.server {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// An empty folder that is the server's alone.
    pub(super) fn create_private(&self, folder: &Path) -> Result<()> {
        DirBuilder::new()
            .mode(0o700)
            .create(folder)
            .and_then(|()| match self.server {
                Some((uid, gid)) => chown(folder, Some(uid), Some(gid)),
                None => Ok(()),
            })
            .with_context(|| format!("creating {}", folder.display()))
    }

    /// `parent`, or a folder below `/var/tmp` when a socket in `parent` would have too long a path, or when root's
    /// repository is in a home that the server's user may not enter.
    pub(super) fn usable_place(&self, parent: &Path) -> Result<PathBuf> {
        let created = fs::create_dir_all(parent).and_then(|()| parent.canonicalize());
        let parent = created.with_context(|| format!("creating {}", parent.display()))?;
        let socket_bytes = parent
            .join("99")
            .join(SOCKET)
            .to_str()
            .map_or(usize::MAX, str::len);
        if socket_bytes <= SOCKET_PATH_BYTES && self.can_enter(&parent)? {
            return Ok(parent);
        }
        let name = format!(
            "matrica-starter-{}-{:016x}",
            self.own_uid,
            fingerprint(&parent)
        );
        let place = Path::new("/var/tmp").join(name);
        self.claim(&place).with_context(|| {
            format!(
                "PostgreSQL cannot work below {}, nor in {}",
                parent.display(),
                place.display()
            )
        })?;
        Ok(place)
    }

    fn can_enter(&self, folder: &Path) -> Result<bool> {
        let mut shell = self.command("/bin/sh");
        let status = shell
            .args(["-c", "test -x \"$1\"", "sh"])
            .arg(folder)
            .status();
        Ok(status.context("running /bin/sh")?.success())
    }

    /// Anyone may have put something under this name. Once it is ours it stays ours: `/var/tmp` is sticky.
    fn claim(&self, place: &Path) -> Result<()> {
        match DirBuilder::new().mode(0o700).create(place) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error.into()),
            _ => {}
        }
        let found = fs::symlink_metadata(place)?;
        ensure!(
            found.is_dir() && found.uid() == self.own_uid,
            "it belongs to somebody else"
        );
        // The server's user has to pass through root's folder to its own.
        let mode = if self.server.is_some() { 0o711 } else { 0o700 };
        fs::set_permissions(place, Permissions::from_mode(mode))?;
        Ok(())
    }
}

fn ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// FNV-1a: a repository finds its data again, whichever compiler built this.
fn fingerprint(path: &Path) -> u64 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
}
