//! The real binary as a process of its own.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};

use super::{eventually, eventually_within};

/// No server can announce a job in this database any more, so nobody has a turn. A database that does
/// not answer at once is left as it is.
async fn refuse_jobs(url: &str) {
    let refuse = async {
        let mut connection = PgConnection::connect(url).await?;
        let statement = "alter table jobs add constraint no_jobs check (false) not valid";
        sqlx::query(statement).execute(&mut connection).await
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), refuse).await;
}

/// Longest time from SIGTERM to the end.
const END: Duration = Duration::from_secs(30);

pub const BINARY: &str = env!("CARGO_BIN_EXE_matrica-starter");

/// `serve`, ended when the test ends.
pub struct Process {
    pub url: String,
    pub address: String,
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts it, on a free port if the settings name none. It may not listen yet.
    pub fn serve(settings: &BTreeMap<String, String>) -> Self {
        Self::spawn(command(settings), settings)
    }

    /// Another build of the program, until its first answer.
    pub async fn start_program(program: &str, settings: &BTreeMap<String, String>) -> Self {
        let mut command = Command::new(program);
        command.env_clear().envs(settings);
        let process = Self::spawn(command, settings);
        let answers = async || healthy(&process.address);
        eventually_within(END, "the server starts", answers).await;
        process
    }

    /// Starts it, and reads nothing of its log.
    pub fn serve_unread(settings: &BTreeMap<String, String>) -> Self {
        Self::spawn_unread(command(settings), settings)
    }

    fn spawn(command: Command, settings: &BTreeMap<String, String>) -> Self {
        let mut process = Self::spawn_unread(command, settings);
        // A server whose log is not read drops lines.
        process.readers = vec![
            keep(process.child.stdout.take().unwrap(), &process.log),
            keep(process.child.stderr.take().unwrap(), &process.log),
        ];
        process
    }

    fn spawn_unread(mut command: Command, settings: &BTreeMap<String, String>) -> Self {
        let address = settings.get("LISTEN_ADDR").cloned();
        let address = address.unwrap_or_else(|| format!("127.0.0.1:{}", free_port()));
        command
            .arg("serve")
            .env("LISTEN_ADDR", &address)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Self {
            url: format!("http://{address}"),
            address,
            child: command.spawn().unwrap(),
            log: Arc::default(),
            readers: Vec::new(),
        }
    }

    /// Starts it without background work, whose calls would count among those of a test, and waits for
    /// its first answer.
    pub async fn start(settings: &BTreeMap<String, String>) -> Self {
        refuse_jobs(&settings["DATABASE_URL"]).await;
        Self::start_with_jobs(settings).await
    }

    /// Starts it as in production, and waits for its first answer.
    pub async fn start_with_jobs(settings: &BTreeMap<String, String>) -> Self {
        let settings = settings.clone();
        let starting = tokio::task::spawn_blocking(move || Self::serve_ready(&settings).0);
        starting.await.unwrap()
    }

    /// The same for code that blocks, and how long it took.
    pub fn serve_ready(settings: &BTreeMap<String, String>) -> (Self, Duration) {
        let started = Instant::now();
        let process = Self::serve(settings);
        loop {
            if healthy(&process.address) {
                return (process, started.elapsed());
            }
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "the server does not start"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end. Gives its status and its log.
    pub async fn ended(self) -> (ExitStatus, String) {
        let waiting = tokio::task::spawn_blocking(move || self.wait());
        waiting.await.unwrap()
    }

    #[allow(dead_code, reason = "for the load program")]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// The files that it may have open from now on.
    pub fn limit_files(&self, soft: &str) {
        let limited = Command::new("prlimit")
            .args(["--pid", &self.child.id().to_string()])
            .arg(format!("--nofile={soft}:"))
            .status()
            .unwrap();
        assert!(limited.success());
    }

    /// Waits for an event in its log.
    pub async fn logged(&self, event: &str) {
        let event = format!("\"event\":\"{event}\"");
        eventually(&event, async || self.log.lock().unwrap().contains(&event)).await;
    }

    /// Waits until the process has ended.
    pub async fn exited(&mut self) {
        eventually_within(END, "the server ends", async || {
            self.child.try_wait().unwrap().is_some()
        })
        .await;
    }

    /// How often its log has this text.
    pub fn log_count(&self, text: &str) -> usize {
        self.log.lock().unwrap().matches(text).count()
    }

    /// The same for code that blocks.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        self.readers
            .drain(..)
            .for_each(|reader| reader.join().unwrap());
        let log = self.log.lock().unwrap().clone();
        (status, log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(output: impl Read + Send + 'static, log: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let log = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let mut log = log.lock().unwrap();
            log.push_str(&line.unwrap());
            log.push('\n');
        }
    })
}

/// The binary with these settings and nothing else from the environment.
pub fn command(settings: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(settings);
    command
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn healthy(address: &str) -> bool {
    use std::io::Write;
    let Ok(mut stream) = std::net::TcpStream::connect(address) else {
        return false;
    };
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
