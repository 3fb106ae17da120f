//! The pooler `PgBouncer` with the file of `deploy/pgbouncer`, in front of a test's database.

use std::{fs, net::TcpStream, path::Path, process::Command};

use sqlx::postgres::PgConnectOptions;

use super::{Folder, eventually, process::free_port, running::Running};

pub struct PgBouncer {
    pub url: String,
    _running: Running,
    _folder: Folder,
}

impl PgBouncer {
    pub async fn to(database_url: &str) -> Self {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let host = options.get_socket().map_or_else(
            || options.get_host().to_owned(),
            |socket| socket.display().to_string(),
        );
        let (user, name) = (options.get_username(), options.get_database().unwrap());
        let folder = Folder::new();
        let users = folder.path().join("users.txt");
        let password = url::Url::parse(database_url).unwrap();
        let password = password.password().unwrap_or_default();
        fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let port = free_port();
        let text = include_str!("../../../deploy/pgbouncer/pgbouncer.ini")
            .replace(
                "matrica = host=127.0.0.1 port=5432 dbname=matrica",
                &format!(
                    "{name} = host={host} port={} dbname={name}",
                    options.get_port()
                ),
            )
            .replace("6432", &port.to_string())
            .replace("scram-sha-256", "trust")
            .replace("/etc/pgbouncer/users.txt", users.to_str().unwrap());
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, format!("{text}unix_socket_dir =\n")).unwrap();
        let program = [
            concat!(env!("CARGO_MANIFEST_DIR"), "/target/tools/pgbouncer/run"),
            "/usr/sbin/pgbouncer",
        ];
        let mut programs = program.into_iter();
        let program = programs.find(|program| Path::new(program).exists());
        let mut command = Command::new(program.unwrap_or("pgbouncer"));
        if super::cluster::is_root() {
            // It refuses to run as root.
            command.args(["-u", "postgres"]);
        }
        let running = Running::start(command.arg("-q").arg(file));
        eventually("PgBouncer listens", async || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        Self {
            url: format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode=disable"),
            _running: running,
            _folder: folder,
        }
    }
}
