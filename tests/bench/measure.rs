//! Runs an operation for a while, on many connections at once.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::processes;
use crate::worker::{Step, Worker};

/// Longest latency that is told apart, in microseconds.
const LATENCY_MAX: u64 = 60_000_000;
const LATENCY_DIGITS: u8 = 3;

/// What was measured of one operation.
pub struct Figures {
    pub count: u64,
    pub elapsed: Duration,
    /// In microseconds.
    pub latency: Histogram<u64>,
    pub cpu: CpuTimes,
}

impl Figures {
    pub fn none() -> Self {
        Self {
            count: 0,
            elapsed: Duration::ZERO,
            latency: histogram(),
            cpu: CpuTimes::default(),
        }
    }

    /// One operation.
    pub fn of_one(latency: Duration, cpu: CpuTimes) -> Self {
        let mut histogram = histogram();
        histogram.saturating_record(micros(latency));
        Self {
            count: 1,
            elapsed: latency,
            latency: histogram,
            cpu,
        }
    }

    pub fn add(&mut self, other: Self) {
        self.count += other.count;
        self.elapsed += other.elapsed;
        self.latency.add(other.latency).unwrap();
        self.cpu.servers += other.cpu.servers;
        self.cpu.database += other.cpu.database;
    }

    pub fn rate(&self) -> f64 {
        count(self.count) / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// CPU time of the servers per operation, in microseconds.
    pub fn server_micros(&self) -> f64 {
        self.cpu.servers.as_secs_f64() * 1e6 / count(self.count)
    }

    pub fn database_micros(&self) -> f64 {
        self.cpu.database.as_secs_f64() * 1e6 / count(self.count)
    }

    /// In milliseconds.
    pub fn percentile(&self, percentile: f64) -> f64 {
        let micros = self.latency.value_at_quantile(percentile / 100.0);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    }
}

#[expect(clippy::cast_precision_loss, reason = "no count is that large")]
fn count(count: u64) -> f64 {
    count.max(1) as f64
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_MAX, LATENCY_DIGITS).unwrap()
}

/// The processes whose CPU time counts.
pub struct Watched {
    pub servers: Vec<u32>,
    /// The process that all of the database's are children of.
    pub database: u32,
}

/// CPU time of the servers and of the database.
#[derive(Clone, Copy, Default)]
pub struct CpuTimes {
    servers: Duration,
    database: Duration,
}

impl Watched {
    /// CPU time since an earlier call.
    pub fn cpu_since(&self, before: CpuTimes) -> CpuTimes {
        let now = self.cpu();
        CpuTimes {
            servers: now.servers.saturating_sub(before.servers),
            database: now.database.saturating_sub(before.database),
        }
    }

    /// CPU time so far.
    pub fn cpu(&self) -> CpuTimes {
        let database = processes::family(self.database);
        CpuTimes {
            servers: processes::cpu(&self.servers),
            database: processes::cpu(&database),
        }
    }
}

/// Repeats a step on every worker until the time is over or nothing is left to do.
pub async fn repeat(
    name: &str,
    duration: Duration,
    watched: &Watched,
    workers: Vec<Worker>,
    step: Step,
) -> (Figures, Vec<Worker>) {
    let (before, started) = (watched.cpu(), Instant::now());
    let mut running = JoinSet::new();
    for mut worker in workers {
        running.spawn(async move {
            let mut latencies = histogram();
            while started.elapsed() < duration
                && let Some(latency) = worker.step(step).await
            {
                latencies.saturating_record(micros(latency));
            }
            (worker, latencies)
        });
    }
    let ticking = tokio::spawn(progress(name.to_owned(), started));
    let (mut latency, mut workers) = (histogram(), Vec::new());
    while let Some(ended) = running.join_next().await {
        let (worker, latencies) = ended.unwrap();
        latency.add(latencies).unwrap();
        workers.push(worker);
    }
    let (elapsed, cpu) = (started.elapsed(), watched.cpu_since(before));
    ticking.abort();
    clear_line();
    let figures = Figures {
        count: latency.len(),
        elapsed,
        latency,
        cpu,
    };
    (figures, workers)
}

fn micros(latency: Duration) -> u64 {
    u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX)
}

async fn progress(name: String, started: Instant) {
    loop {
        say(&format!("{name}: {} s", started.elapsed().as_secs()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Shows a line of progress on a terminal, in place of the last one.
pub fn say(line: &str) {
    if std::io::stderr().is_terminal() {
        eprint!("\r\x1b[2K{line}");
        let _ = std::io::stderr().flush();
    }
}

pub fn clear_line() {
    say("");
}
