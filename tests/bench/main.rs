//! Measures the server: sign-ins, pages, login starts, the API, refreshes and sweeps. `scripts/bench`
//! runs it. It needs the whole machine.
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot go on has nothing to report"
)]
#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable
)]

#[path = "../it/support/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests, which use all of it"
)]
mod support;

mod client;
mod fill;
mod measure;
mod operations;
mod plot;
mod processes;
mod report;
mod site;
#[expect(clippy::cast_precision_loss, reason = "no count is that large")]
mod soak;
mod tls_front;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use self::operations::Operation;
use self::report::Report;
use self::site::Site;

/// All clients have one address.
const RATE_LIMIT: &str = "off";

/// Measures the server with a private Postgres and the demo provider on this machine
#[derive(Parser)]
#[command(name = "scripts/bench")]
pub struct Options {
    /// Users, grants and sessions that the tables hold before. Several sizes show how costs grow
    #[arg(long, value_delimiter = ',', default_value = "1000")]
    users: Vec<u64>,
    /// People who sign in and use the app meanwhile
    #[arg(long, default_value_t = 200)]
    people: usize,
    /// Requests at once
    #[arg(long, default_value_t = 32)]
    clients: usize,
    /// Seconds per operation
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Server processes on one database
    #[arg(long, default_value_t = 1)]
    servers: usize,
    /// Milliseconds that the provider thinks about each token request
    #[arg(long, default_value_t = 0)]
    provider_delay: u64,
    /// Speak TLS with the provider, over a line with this round trip time in milliseconds
    #[arg(long)]
    tls_latency: Option<u64>,
    /// Measure only these operations
    #[arg(long, value_delimiter = ',', value_enum)]
    only: Vec<Operation>,
    /// Measure another build of the server
    #[arg(long)]
    server: Option<PathBuf>,
    /// Write the figures as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Draw cost against the size of the tables, or the course of a soak, as SVG
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Instead: half of the peak load for this many minutes, while the provider and the database fail now
    /// and then. Fails if memory, sockets or connections grow, or on an answer that no fault explains
    #[arg(long, value_name = "MINUTES")]
    soak: Option<f64>,
    /// Cargo adds this
    #[arg(long, hide = true)]
    bench: bool,
}

impl Options {
    fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }

    fn operations(&self) -> Vec<Operation> {
        if self.only.is_empty() {
            Operation::ALL.to_vec()
        } else {
            self.only.clone()
        }
    }
}

fn main() {
    let options = Options::parse();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let Some(minutes) = options.soak {
        let course = runtime.block_on(soak::run(&options, Duration::from_secs_f64(minutes * 60.0)));
        println!("{course}");
        if let Some(path) = &options.plot {
            soak::plot::draw(&course, path);
        }
        assert!(course.complaints().is_empty(), "the soak has failed");
        return;
    }
    let report = runtime.block_on(measure_all(&options));
    println!("{}", report.table());
    if let Some(path) = &options.json {
        std::fs::write(path, report.json()).unwrap();
    }
    if let Some(path) = &options.plot {
        plot::draw(&report, path);
    }
}

async fn measure_all(options: &Options) -> Report {
    let mut report = Report::new(options);
    for users in &options.users {
        let mut site = Site::start(options, *users).await;
        for operation in options.operations() {
            let figures = operation.measure(&mut site, options).await;
            report.add(*users, operation, figures);
        }
        report.memory(*users, site.memory());
    }
    report
}
