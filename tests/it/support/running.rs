//! A program of the system that a test needs.

use std::process::{Child, Command, Stdio};

/// Ends with the test.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        let program = format!("{command:?}");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn();
        Self(child.unwrap_or_else(|error| panic!("{program}: {error}. scripts/test installs it")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // nginx ends its workers only when it is asked.
        let pid = self.0.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.0.wait();
    }
}
