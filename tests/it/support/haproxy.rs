//! haproxy with the files of `deploy/haproxy`, and addresses of the test.

use std::{fs, net::TcpStream, path::Path, process::Command};

use super::{Folder, eventually, process::free_port, running::Running};

pub struct Haproxy {
    pub port: u16,
    _running: Running,
    _folder: Folder,
}

impl Haproxy {
    /// In front of three servers. `inter` is the time between two checks.
    pub async fn people(port: u16, servers: &[String], inter: &str) -> Self {
        let mut text = include_str!("../../../deploy/haproxy/people.cfg").to_owned();
        for (number, server) in servers.iter().enumerate() {
            text = text.replace(&format!("127.0.0.1:{}", 3001 + number), server);
        }
        text = text.replace("inter 1s", &format!("inter {inter}"));
        Self::start(
            port,
            &text.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}")),
        )
        .await
    }

    /// In front of two Postgres.
    pub async fn database(first: u16, second: u16) -> Self {
        let port = free_port();
        let text = include_str!("../../../deploy/haproxy/postgres.cfg");
        let text = text
            .replace("127.0.0.1:5433", &format!("127.0.0.1:{port}"))
            .replace("127.0.0.1:5434", &format!("127.0.0.1:{first}"))
            .replace("127.0.0.1:5435", &format!("127.0.0.1:{second}"));
        Self::start(port, &text).await
    }

    async fn start(port: u16, text: &str) -> Self {
        let folder = Folder::new();
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, text).unwrap();
        // Debian keeps it out of the PATH of users.
        let program = ["/usr/sbin/haproxy", "haproxy"];
        let mut programs = program.into_iter();
        let program = programs.find(|program| Path::new(program).exists());
        let mut command = Command::new(program.unwrap_or("haproxy"));
        let running = Running::start(command.args(["-db", "-q", "-f"]).arg(file));
        eventually("haproxy listens", async || {
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        Self {
            port,
            _running: running,
            _folder: folder,
        }
    }
}
