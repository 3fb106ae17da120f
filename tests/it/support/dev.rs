//! The real binary's `dev` in a folder of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use super::eventually::wait_until;
use super::{Folder, Provider, process};

/// The first start makes a database cluster, which takes a while on a busy machine.
const READY_WITHIN: Duration = Duration::from_mins(1);
const ENDS_WITHIN: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// The last words of the banner.
const READY: &str = "Ctrl-C stops everything.";

/// A running `dev`. Dropping it kills it and waits for its Postgres to end.
pub struct Dev {
    pub url: String,
    pub provider: Provider,
    ports: [u16; 2],
    folder: PathBuf,
    child: Child,
}

impl Dev {
    /// Starts it and waits for its banner.
    pub fn start(folder: &Folder) -> Self {
        Self::start_with(folder.path(), &|| process::command(&BTreeMap::new()))
    }

    /// The same for another user or another copy of the program.
    pub fn start_with(folder: &Path, program: &dyn Fn() -> Command) -> Self {
        for _ in 0..5 {
            match Self::start_on(
                [process::free_port(), process::free_port()],
                folder,
                program(),
            ) {
                Ok(dev) => return dev,
                // Another test was faster.
                Err(output) if output.contains("is taken by another program") => {}
                Err(output) => panic!("`dev` does not start: {output}"),
            }
        }
        panic!("no free port");
    }

    fn start_on(ports: [u16; 2], folder: &Path, program: Command) -> Result<Self, String> {
        let mut dev = Self {
            url: format!("http://localhost:{}", ports[0]),
            provider: Provider::at(&format!("http://localhost:{}", ports[1])),
            ports,
            folder: folder.to_owned(),
            child: spawn(program, ports, folder),
        };
        let ready = || {
            fs::read_to_string(folder.join("stdout"))
                .unwrap()
                .contains(READY)
        };
        let mut ended = None;
        wait_until("`dev` says that it is ready", READY_WITHIN, || {
            ended = dev.child.try_wait().unwrap();
            ended.is_some() || ready()
        });
        if ended.is_some() {
            Err(dev.output())
        } else {
            Ok(dev)
        }
    }

    /// Starts it again in the same place, on the same ports, after it has ended.
    pub fn start_again(self) -> Self {
        assert!(self.postmaster().is_none(), "it has not ended");
        let (ports, folder) = (self.ports, self.folder.clone());
        drop(self);
        Self::start_on(ports, &folder, process::command(&BTreeMap::new())).unwrap()
    }

    /// Its banner and its log.
    pub fn output(&self) -> String {
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        format!("{}{}", read("stdout"), read("stderr"))
    }

    pub fn signal(&self, name: &str) {
        send(name, &self.child.id().to_string());
    }

    /// As the terminal does it, the signal reaches every process of the group.
    pub fn ctrl_c(&self) {
        send("INT", &format!("-{}", self.child.id()));
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("`dev` ends", ENDS_WITHIN, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// The process id of its Postgres.
    pub fn postmaster(&self) -> Option<String> {
        postmaster(&self.folder)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let postmaster = self.postmaster();
        let _ = self.child.kill();
        let _ = self.child.wait();
        let deadline = Instant::now() + ENDS_WITHIN;
        while postmaster.as_deref().is_some_and(is_alive) && Instant::now() < deadline {
            thread::sleep(POLL_EVERY);
        }
    }
}

/// The status and the output of a start that fails.
pub fn refused(ports: [u16; 2], folder: &Path) -> (ExitStatus, String) {
    let output = Folder::new();
    let mut command = process::command(&BTreeMap::new());
    command
        .current_dir(folder)
        .args(arguments(ports))
        .stdin(Stdio::null());
    let mut child = with_output(command, output.path()).spawn().unwrap();
    let mut status = None;
    let deadline = Instant::now() + READY_WITHIN;
    while status.is_none() && Instant::now() < deadline {
        status = child.try_wait().unwrap();
        thread::sleep(POLL_EVERY);
    }
    let _ = child.kill();
    let _ = child.wait();
    let text = fs::read_to_string(output.path().join("stderr")).unwrap();
    (status.unwrap(), text)
}

/// The process id of the Postgres whose data is in this folder, as long as it runs.
pub fn postmaster(folder: &Path) -> Option<String> {
    let clusters = fs::read_dir(folder.join(".pg")).ok()?.flatten();
    let files = clusters
        .filter_map(|cluster| fs::read_to_string(cluster.path().join("postmaster.pid")).ok());
    let mut ids = files.filter_map(|file| Some(file.lines().next()?.to_owned()));
    ids.find(|id| is_alive(id))
}

pub fn is_alive(id: &str) -> bool {
    Command::new("kill")
        .args(["-0", id])
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

fn spawn(mut program: Command, ports: [u16; 2], folder: &Path) -> Child {
    use std::os::unix::process::CommandExt;
    program
        .current_dir(folder)
        .args(arguments(ports))
        .stdin(Stdio::null());
    // A group of its own, as a terminal gives to each command.
    program.process_group(0);
    with_output(program, folder).spawn().unwrap()
}

/// Files, unlike pipes, never make the program wait for a reader.
fn with_output(mut program: Command, folder: &Path) -> Command {
    let file = |name| File::create(folder.join(name)).unwrap();
    program.stdout(file("stdout")).stderr(file("stderr"));
    program
}

fn arguments([port, provider_port]: [u16; 2]) -> [String; 5] {
    [
        "dev".into(),
        "--port".into(),
        port.to_string(),
        "--provider-port".into(),
        provider_port.to_string(),
    ]
}

fn send(signal: &str, to: &str) {
    assert!(
        Command::new("kill")
            .args(["-s", signal, "--", to])
            .status()
            .unwrap()
            .success()
    );
}
