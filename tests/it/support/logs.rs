//! The log of all apps in this process.

use std::{
    io::{self, Write},
    sync::{Mutex, Once},
};

use matrica_starter::engine::http::log;
use serde_json::Value;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ONCE: Once = Once::new();

struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Starts keeping. The format is the one of production.
pub fn capture() {
    ONCE.call_once(|| {
        let layer = fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(|| Sink);
        tracing_subscriber::registry()
            .with(EnvFilter::new(log::filter("info")))
            .with(layer)
            .init();
    });
}

/// Whether a text was logged by any app of this process.
///
/// All apps wait for the lock, so the search has to be fast. That of the standard library is optimized
/// in a debug build too.
pub fn contain(text: &str) -> bool {
    String::from_utf8_lossy(&LOG.lock().unwrap()).contains(text)
}

/// The value of a field in the lines of a request, which is named by its `x-request-id`.
pub fn field(request_id: &str, name: &str) -> Option<String> {
    let log = LOG.lock().unwrap();
    let log = String::from_utf8_lossy(&log);
    let lines = log
        .lines()
        .filter(|line| line.contains(request_id))
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut ours = lines.filter(|line| line["span"]["request_id"] == request_id);
    ours.find_map(|line| line.get(name)?.as_str().map(str::to_owned))
}
