//! The real binary as a process of its own.

use std::{
    collections::BTreeMap,
    io::Read,
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

pub const BINARY: &str = env!("CARGO_BIN_EXE_matrica-starter");

/// `serve`, ended when the test ends.
pub struct Process {
    pub url: String,
    pub address: String,
    child: Child,
}

impl Process {
    /// Starts it; it may not listen yet.
    pub fn serve(settings: &BTreeMap<String, String>) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = command(settings);
        command.arg("serve").env("LISTEN_ADDR", &address).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { url: format!("http://{address}"), address, child: command.spawn().unwrap() }
    }

    /// Starts it and waits for its first answer. Gives the time that took, too.
    pub fn serve_ready(settings: &BTreeMap<String, String>) -> (Self, Duration) {
        let started = Instant::now();
        let process = Self::serve(settings);
        loop {
            if healthy(&process.address) {
                return (process, started.elapsed());
            }
            assert!(started.elapsed() < Duration::from_secs(20), "the server does not start");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; gives its status and what it logged.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap(), log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with these settings and nothing else from the environment.
pub fn command(settings: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(BINARY);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(settings);
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn healthy(address: &str) -> bool {
    use std::io::Write;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else { return false };
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
