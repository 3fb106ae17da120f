//! The user that the server runs as, and a folder where that user can work.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, io};

use anyhow::{Context as _, ensure};

use super::SOCKET;

/// A socket address holds 104 bytes on macOS and 108 on Linux, the final NUL included.
const SOCKET_PATH_BYTES: usize = 100;

pub struct ServerUser {
    own_uid: u32,
    /// User and group of the server. Set only if we are root, because `initdb` refuses root.
    server: Option<(u32, u32)>,
}

impl ServerUser {
    pub fn find() -> anyhow::Result<Self> {
        let id = Command::new("id").arg("-u").output();
        let id = id.context("running `id -u`")?;
        let own_uid = String::from_utf8_lossy(&id.stdout).trim().parse();
        let own_uid = own_uid.context("reading the output of `id -u`")?;
        let server = if own_uid == 0 {
            let passwd = fs::read_to_string("/etc/passwd").context("reading /etc/passwd")?;
            let ids = ids(&passwd, "postgres").or_else(|| ids(&passwd, "nobody"));
            let missing = "PostgreSQL does not run as root, and there is no user `postgres` or \
                           `nobody` to run it";
            Some(ids.context(missing)?)
        } else {
            None
        };
        Ok(Self { own_uid, server })
    }

    /// A command that runs as the server's user, in `/`, and without the caller's `PG*` variables.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
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

    /// Creates an empty folder that only the server's user may enter.
    pub fn create_private(&self, folder: &Path) -> anyhow::Result<()> {
        let created = DirBuilder::new().mode(0o700).create(folder);
        let owned = created.and_then(|()| match self.server {
            Some((uid, gid)) => chown(folder, Some(uid), Some(gid)),
            None => Ok(()),
        });
        owned.with_context(|| format!("creating {}", folder.display()))
    }

    /// `parent`, created if missing. A folder below `/var/tmp` if the path of a socket in `parent`
    /// is too long, or if the server's user may not enter `parent`, for example in root's home.
    pub fn usable_place(&self, parent: &Path) -> anyhow::Result<PathBuf> {
        let created = fs::create_dir_all(parent).and_then(|()| parent.canonicalize());
        let parent = created.with_context(|| format!("creating {}", parent.display()))?;
        let socket = parent.join("99").join(SOCKET);
        let fits = |path: &str| path.len() <= SOCKET_PATH_BYTES;
        if socket.to_str().is_some_and(fits) && self.can_enter(&parent)? {
            return Ok(parent);
        }
        let (uid, hash) = (self.own_uid, fingerprint(&parent));
        let place = Path::new("/var/tmp").join(format!("matrica-starter-{uid}-{hash:016x}"));
        let (parent, shown) = (parent.display(), place.display());
        let claimed = self.claim(&place);
        claimed
            .with_context(|| format!("PostgreSQL cannot work below {parent}, nor in {shown}"))?;
        Ok(place)
    }

    fn can_enter(&self, folder: &Path) -> anyhow::Result<bool> {
        let mut test = self.command("/bin/sh");
        test.args(["-c", "test -x \"$1\"", "sh"]).arg(folder);
        Ok(test.status().context("running /bin/sh")?.success())
    }

    /// Creates `place`, or takes over our own. Refuses a folder of another user, who may have
    /// created it first. Ours cannot be replaced, because `/var/tmp` is sticky.
    fn claim(&self, place: &Path) -> anyhow::Result<()> {
        if let Err(error) = DirBuilder::new().mode(0o700).create(place)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error.into());
        }
        let found = fs::symlink_metadata(place)?;
        let is_ours = found.is_dir() && found.uid() == self.own_uid;
        ensure!(is_ours, "it belongs to another user");
        // The server's user must pass through root's folder to its own.
        let mode = if self.server.is_some() { 0o711 } else { 0o700 };
        fs::set_permissions(place, Permissions::from_mode(mode))?;
        Ok(())
    }
}

/// User and group id.
fn ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd
        .lines()
        .find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// FNV-1a, because the standard library's hash may change and the data would not be found again.
fn fingerprint(path: &Path) -> u64 {
    let bytes = path.as_os_str().as_encoded_bytes().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
