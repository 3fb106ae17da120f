//! Postgres servers of a test's own: a primary that stops, and a standby that takes over behind the
//! same address.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{Folder, process::free_port};

/// A server on a port of 127.0.0.1. It stops when the test ends.
pub struct Cluster {
    pub port: u16,
    data: PathBuf,
    folder: Arc<Folder>,
}

impl Cluster {
    /// A new primary that a standby can follow.
    pub fn primary() -> Self {
        let folder = Arc::new(Folder::new());
        open(folder.path());
        let data = folder.path().join("primary");
        let text = data.to_str().unwrap();
        run(
            "initdb",
            &[
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--auth=trust",
                "-U",
                "postgres",
                "-D",
                text,
            ],
        );
        let cluster = Self {
            port: free_port(),
            data,
            folder,
        };
        cluster.start();
        cluster
    }

    /// A standby of this primary, ready to be promoted.
    pub fn standby(&self) -> Self {
        self.standby_through(self.port)
    }

    /// One that follows the primary through this port.
    pub fn standby_through(&self, port: u16) -> Self {
        let data = self.data.with_file_name("standby");
        let port = port.to_string();
        run(
            "pg_basebackup",
            &[
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-U",
                "postgres",
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
                "--no-sync",
                "-D",
                data.to_str().unwrap(),
            ],
        );
        let standby = Self {
            port: free_port(),
            data,
            folder: self.folder.clone(),
        };
        standby.start();
        standby
    }

    /// Answers with TLS and this certificate from now on. Both texts are PEM.
    pub fn secure(&self, certificate: &str, key: &str) {
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let path = self.data.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            open(&path);
        }
        let settings = "\nssl = on\n";
        let configuration = self.data.join("postgresql.auto.conf");
        fs::write(configuration, settings).unwrap();
        self.control(&["reload"]);
    }

    /// Logs every statement with its parameters, and asks `role` for this password from now on.
    pub fn log_everything(&self, role: &str, password: &str) {
        let settings = "\nlog_statement = all\nlog_min_duration_statement = 0\nlog_connections = on\nlog_min_messages = debug1\n";
        fs::write(self.data.join("postgresql.auto.conf"), settings).unwrap();
        let rules = self.data.join("pg_hba.conf");
        let known = fs::read_to_string(&rules).unwrap();
        let first = format!("host all {role} 127.0.0.1/32 scram-sha-256");
        fs::write(rules, format!("{first}\n{known}")).unwrap();
        // Before the statements are logged.
        let statement = format!("create role {role} superuser login password '{password}'");
        let url = Self::url(self.port);
        run("psql", &["-q", "-d", &url, "-c", &statement]);
        self.control(&["reload"]);
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        let log = fs::read(self.data.with_extension("log")).unwrap();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub fn url(port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
    }

    pub fn stop(&self) {
        self.control(&["stop", "-w", "-m", "fast"]);
    }

    /// Ends at once, as if it had lost its power.
    pub fn crash(&self) {
        self.control(&["stop", "-w", "-m", "immediate"]);
    }

    /// Tells people of a commit only when the standby has it too.
    pub fn wait_for_standby(&self) {
        let url = Self::url(self.port);
        for statement in [
            "alter system set synchronous_standby_names = '*'",
            "select pg_reload_conf()",
        ] {
            run("psql", &["-q", "-d", &url, "-c", statement]);
        }
    }

    /// The role of the health check of `deploy/haproxy/postgres.cfg`.
    pub fn admit_health_checks(&self) {
        let url = Self::url(self.port);
        run(
            "psql",
            &["-q", "-d", &url, "-c", "create role health login"],
        );
    }

    pub fn promote(&self) {
        self.control(&["promote", "-w"]);
    }

    /// Starts a standby that has stopped, as a primary.
    pub fn start_alone(&self) {
        fs::remove_file(self.data.join("standby.signal")).unwrap();
        self.start();
    }

    fn start(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories= -c fsync=off -c shared_buffers=16MB",
            self.port
        );
        let log = self.data.with_extension("log");
        self.control(&["start", "-w", "-o", &options, "-l", log.to_str().unwrap()]);
    }

    fn control(&self, arguments: &[&str]) {
        let data = ["-s", "-D", self.data.to_str().unwrap()];
        run("pg_ctl", &[arguments, &data].concat());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.data.to_str().unwrap();
        let _ = command("pg_ctl", &["stop", "-s", "-m", "immediate", "-D", data]).status();
    }
}

/// A folder or a file belongs to the server's user, because Postgres refuses to run as root.
fn open(path: &Path) {
    if is_root() {
        let owned = Command::new("chown").arg("postgres").arg(path).status();
        assert!(owned.unwrap().success());
    }
}

pub fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}

fn run(program: &str, arguments: &[&str]) {
    let status = command(program, arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// A program of the newest server that is installed.
fn command(program: &str, arguments: &[&str]) -> Command {
    let mut path = PathBuf::from(program);
    if let Ok(versions) = fs::read_dir("/usr/lib/postgresql") {
        let newest = versions.map(|version| version.unwrap().path()).max();
        path = newest.unwrap().join("bin").join(program);
    }
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
            .arg(path);
        command
    } else {
        Command::new(path)
    };
    command
        .args(arguments)
        .current_dir("/")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// An address in front of servers, as a failover moves it. Connections that are open stay where
/// they are.
pub struct Address {
    pub port: u16,
    target: watch::Sender<u16>,
}

impl Address {
    pub async fn of(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = Self {
            port: listener.local_addr().unwrap().port(),
            target: watch::Sender::new(port),
        };
        let target = address.target.subscribe();
        tokio::spawn(async move {
            loop {
                let (mut app, _) = listener.accept().await.unwrap();
                let port = *target.borrow();
                tokio::spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await {
                        let _ = copy_bidirectional(&mut app, &mut server).await;
                    }
                });
            }
        });
        address
    }

    /// New connections go to another server from now on.
    pub fn lead_to(&self, port: u16) {
        self.target.send_replace(port);
    }
}
