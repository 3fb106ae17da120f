//! What happened, second by second.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

/// What may grow between the second quarter and the last one, as a share and in absolute terms.
const GROWTH: f64 = 1.1;
const MORE_BYTES: f64 = 4_000_000.0;
const MORE: f64 = 5.0;
/// Statuses that a fault explains.
const UNAVAILABLE: [u16; 2] = [503, 504];

/// Counts of one second.
#[derive(Default)]
pub struct Counts {
    pub requests: u64,
    pub slowest: Duration,
    /// By status and path.
    failures: BTreeMap<(u16, String), u64>,
}

/// Counts of all visitors.
#[derive(Default)]
pub struct Tally(Mutex<Counts>);

impl Tally {
    /// Zero stands for a connection that broke.
    pub fn count(&self, path: &str, status: u16, took: Duration) {
        let mut counts = self.0.lock().unwrap();
        counts.requests += 1;
        counts.slowest = counts.slowest.max(took);
        if status == 0 || status >= 400 {
            let path = path.split('?').next().unwrap_or_default();
            *counts
                .failures
                .entry((status, path.to_owned()))
                .or_default() += 1;
        }
    }

    pub fn clear(&self) {
        self.take();
    }

    pub fn take(&self) -> Counts {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn requests(&self) -> u64 {
        self.0.lock().unwrap().requests
    }
}

pub struct Sample {
    pub seconds: u64,
    pub fault: Option<&'static str>,
    /// A fault lasts, or has just ended.
    pub explained: bool,
    pub counts: Counts,
    /// Memory in bytes.
    pub resident: u64,
    pub sockets: usize,
    pub threads: usize,
    /// To the database.
    pub connections: usize,
}

pub struct Course {
    /// Requests per second, as fast as the server can.
    pub peak: u64,
    pub samples: Vec<Sample>,
}

impl Course {
    pub fn new(peak: u64) -> Self {
        Self {
            peak,
            samples: Vec::new(),
        }
    }

    pub fn add(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    pub fn requests(&self) -> u64 {
        self.samples
            .iter()
            .map(|sample| sample.counts.requests)
            .sum()
    }

    fn failures(&self, explained: bool) -> BTreeMap<(u16, &str), u64> {
        let mut all = BTreeMap::new();
        for sample in &self.samples {
            for ((status, path), count) in &sample.counts.failures {
                if explained == (sample.explained && UNAVAILABLE.contains(status)) {
                    *all.entry((*status, path.as_str())).or_default() += count;
                }
            }
        }
        all
    }

    /// The mean of a quarter, counted from zero.
    fn quarter(&self, number: usize, value: impl Fn(&Sample) -> f64) -> f64 {
        let length = (self.samples.len() / 4).max(1);
        let values = self.samples.iter().skip(number * length).take(length);
        values.map(value).sum::<f64>() / length as f64
    }

    /// Why the server does not pass.
    pub fn complaints(&self) -> Vec<String> {
        let failures = self.failures(false).into_iter();
        let mut complaints: Vec<String> = failures
            .map(|((status, path), count)| {
                format!("{count} times {status} for {path}, without a fault")
            })
            .collect();
        for (name, more, value) in gauges() {
            let (before, after) = (self.quarter(1, value), self.quarter(3, value));
            if after > before * GROWTH + more {
                complaints.push(format!("{name} grew from {before:.0} to {after:.0}"));
            }
        }
        complaints
    }
}

type Gauge = (&'static str, f64, fn(&Sample) -> f64);

fn gauges() -> [Gauge; 4] {
    [
        ("memory", MORE_BYTES, |sample| sample.resident as f64),
        ("sockets", MORE, |sample| sample.sockets as f64),
        ("threads", MORE, |sample| sample.threads as f64),
        ("connections", MORE, |sample| sample.connections as f64),
    ]
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.samples.len().max(1) as u64;
        let (requests, rate) = (self.requests(), self.requests() / seconds);
        writeln!(
            f,
            "{requests} requests in {seconds} s: {rate} per second, peak {}",
            self.peak
        )?;
        writeln!(f, "means of the quarters:")?;
        for (name, _, value) in gauges() {
            let quarters: Vec<_> = (0..4).map(|number| self.quarter(number, value)).collect();
            writeln!(f, "  {name}: {quarters:.0?}")?;
        }
        for ((status, path), count) in self.failures(true) {
            writeln!(f, "during a fault: {count} times {status} for {path}")?;
        }
        let complaints = self.complaints();
        for complaint in &complaints {
            writeln!(f, "FAILED: {complaint}")?;
        }
        if complaints.is_empty() {
            write!(f, "flat, and every refusal is explained by a fault")?;
        }
        Ok(())
    }
}
