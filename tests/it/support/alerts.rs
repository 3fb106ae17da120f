//! Which alerts a fault fires. promtool evaluates the rules over two scrapes of a real server.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use matrica_starter::engine::workers::census;
use serde_json::json;

use super::TestApp;
use super::folder::Folder;
use super::scrape::{Scrape, is_counter};

pub const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus/alerts.yml");

/// Minutes without the fault, and with it.
const QUIET: u32 = 15;
const FAULTY: u32 = 30;

/// The alerts that fire at the end of a fault between two scrapes. `None` if the server is gone.
pub fn firing(before: &Scrape, after: Option<&Scrape>) -> BTreeSet<String> {
    let mut series = String::new();
    let names = after.unwrap_or(before).0.keys();
    for name in names {
        let old = before.0.get(name).copied().unwrap_or_default();
        // Times go on, unless there was none.
        let is_time = name.contains("_timestamp_") && old > 0.0;
        let old = if is_time { 0.0 } else { old };
        let during = match after.map(|after| after.get(name)) {
            Some(_) if is_time => format!("0+60x{FAULTY}"),
            Some(new) if is_counter(name) => format!("{new}+{}x{FAULTY}", new - old),
            Some(new) => format!("{new}x{FAULTY}"),
            None => format!("_x{FAULTY}"),
        };
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let comma = if labels.is_empty() { "" } else { "," };
        let labels = labels.trim_end_matches('}');
        let name = json!(format!(
            "{name}{{instance=\"a:9090\",job=\"app\"{comma}{labels}}}"
        ));
        let values = json!(format!("{old}x{QUIET} {during}"));
        writeln!(series, "      - {{ series: {name}, values: {values} }}").unwrap();
    }
    let (rules, end) = (json!(RULES), QUIET + FAULTY);
    // Expects nothing, so that promtool tells what there is.
    let rules_test = format!(
        "rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
{series}    promql_expr_test:
      - expr: count by (alertname) (ALERTS{{alertstate=\"firing\"}})
        eval_time: {end}m
        exp_samples: []
"
    );
    let folder = Folder::new();
    let path = folder.path().join("test.yml");
    fs::write(&path, rules_test).unwrap();
    let (passed, output) = promtool(&["test", "rules"], &path);
    assert!(
        passed || output.contains("got:"),
        "promtool refuses the test: {output}"
    );
    let (_, got) = output.split_once("got:").unwrap_or_default();
    let names = got.split("alertname=").skip(1);
    let names = names.map(|rest| {
        rest.trim_matches(['\\', '"'])
            .split(['\\', '"'])
            .next()
            .unwrap()
    });
    names.map(str::to_owned).collect()
}

/// A scrape before the fault.
pub async fn healthy(app: &TestApp) -> Scrape {
    census::count(&app.engine).await.unwrap();
    Scrape::of(&app.engine).await
}

/// Whether promtool is content, and what it says. Debian's package `prometheus` has it.
pub fn promtool(arguments: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new("promtool").args(arguments).arg(path).output();
    let output = output.unwrap_or_else(|error| panic!("promtool: {error}"));
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

/// Checks which alerts a fault fires, and no others.
#[track_caller]
pub fn expect(before: &Scrape, after: &Scrape, alerts: &[&str]) {
    let expected = alerts.iter().map(|alert| (*alert).to_owned()).collect();
    assert_eq!(firing(before, Some(after)), expected);
}
