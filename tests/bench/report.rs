//! The figures as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::Options;
use crate::measure::Figures;
use crate::operations::Operation;

const MEGABYTE: f64 = 1024.0 * 1024.0;

pub struct Report {
    clients: usize,
    people: usize,
    servers: usize,
    rows: Vec<Row>,
    memory: Vec<(u64, u64)>,
}

pub struct Row {
    /// Users in the tables.
    pub users: u64,
    pub operation: Operation,
    pub figures: Figures,
}

impl Report {
    pub fn new(options: &Options) -> Self {
        Self {
            clients: options.clients,
            people: options.people,
            servers: options.servers,
            rows: Vec::new(),
            memory: Vec::new(),
        }
    }

    pub fn add(&mut self, users: u64, operation: Operation, figures: Figures) {
        self.rows.push(Row {
            users,
            operation,
            figures,
        });
    }

    /// Resident memory of the largest server at the end, in bytes.
    pub fn memory(&mut self, users: u64, bytes: u64) {
        self.memory.push((users, bytes));
    }

    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub fn table(&self) -> String {
        let mut table = format!(
            "{:>9}  {:<16} {:>10} {:>9} {:>9} {:>11} {:>11}\n",
            "users", "operation", "per second", "p50 ms", "p99 ms", "server µs", "database µs"
        );
        for Row {
            users,
            operation,
            figures,
        } in &self.rows
        {
            let _ = writeln!(
                table,
                "{users:>9}  {:<16} {:>10.0} {:>9.2} {:>9.2} {:>11.0} {:>11.0}",
                operation.name(),
                figures.rate(),
                figures.percentile(50.0),
                figures.percentile(99.0),
                figures.server_micros(),
                figures.database_micros(),
            );
        }
        for (users, bytes) in &self.memory {
            let megabytes = megabytes(*bytes);
            let _ = writeln!(table, "{users:>9}  memory of a server: {megabytes:.1} MB");
        }
        table.push_str(
            "The latency of a sign-in is that of its callback. µs are CPU time per operation.",
        );
        table
    }

    pub fn json(&self) -> String {
        let row = |row: &Row| {
            json!({
                "users": row.users,
                "operation": row.operation.name(),
                "count": row.figures.count,
                "per_second": row.figures.rate(),
                "p50_ms": row.figures.percentile(50.0),
                "p99_ms": row.figures.percentile(99.0),
                "server_cpu_us": row.figures.server_micros(),
                "database_cpu_us": row.figures.database_micros(),
            })
        };
        let memory = |(users, bytes): &(u64, u64)| json!({ "users": users, "bytes": bytes });
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": std::thread::available_parallelism().map_or(0, usize::from),
            "clients": self.clients,
            "people": self.people,
            "servers": self.servers,
            "rows": self.rows.iter().map(row).collect::<Vec<Value>>(),
            "memory": self.memory.iter().map(memory).collect::<Vec<Value>>(),
        });
        format!("{report:#}\n")
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE
}
