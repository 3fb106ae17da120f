//! The threat model names tests that exist, and leaves no demand without an answer.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Demands, which are numbered from 1.
const DEMANDS: usize = 251;
/// Faults of each table, in the order of the page, which are numbered from 1 behind the letter.
const FAULTS: [(char, usize); 5] = [('P', 38), ('D', 36), ('K', 11), ('R', 15), ('H', 16)];
const NOT_OURS: &str = "not ours, because ";
const LATER: &str = "later: ";

#[test]
fn every_demand_is_answered_by_a_test_that_exists() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let tests = tests();
    assert!(tests.len() > 500, "{} tests were found", tests.len());
    let (demands, faults) = page.split_once("\n## Faults\n").unwrap();
    let demands = rows(demands.split_once("\n## Demands\n").unwrap().1);
    let numbers: Vec<usize> = demands.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(numbers.into_iter().eq(1..=DEMANDS), "numbers are missing");
    for row in &demands {
        let [number, level, demand, answer, proof] = row[..] else {
            panic!("{row:?} has other columns");
        };
        assert!(matches!(level, "MUST" | "SHOULD"), "{number}: {level}");
        assert!(!demand.is_empty() && !answer.is_empty(), "{number}");
        let may_wait = level == "SHOULD" && proof.starts_with(LATER);
        assert!(may_wait || is_proven(proof, &tests), "{number}: {proof}");
    }
    let faults = rows(faults);
    let numbered = |(letter, count)| (1..=count).map(move |number| format!("{letter}{number}"));
    let numbered: Vec<String> = FAULTS.into_iter().flat_map(numbered).collect();
    let names: Vec<&str> = faults.iter().map(|row| row[0]).collect();
    assert_eq!(names, numbered);
    for row in &faults {
        // People may notice nothing.
        let [name, fault, _, proof] = row[..] else {
            panic!("{row:?} has other columns");
        };
        assert!(
            !fault.is_empty() && is_proven(proof, &tests),
            "{name}: {proof}"
        );
    }
}

/// Whether a cell gives a reason, or names tests that all exist.
fn is_proven(proof: &str, tests: &BTreeSet<String>) -> bool {
    if let Some(reason) = proof.strip_prefix(NOT_OURS) {
        return reason.len() > 20;
    }
    proof.split(", ").all(|name| {
        let test = name
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'));
        test.is_some_and(|test| tests.contains(test))
    })
}

/// The cells of all tables, without their heads.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines().filter(|line| line.starts_with("| "));
    let rows = lines.map(|line| {
        let cells = line.trim_matches('|').split(" |");
        cells.map(str::trim).collect::<Vec<_>>()
    });
    rows.filter(|row| row[0] != "#").collect()
}

/// The names of all tests, also of those that a macro makes of `name: Refusal`.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut folders: Vec<PathBuf> = ["src", "tests"].map(|name| root().join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                tests.extend(tests_of(&text));
                if path.ends_with("tests/it/engine/refusals.rs") {
                    let names = text.split_once("\nrefusals! {").unwrap().1;
                    let names = names
                        .lines()
                        .filter_map(|line| line.trim().split_once(": "));
                    tests.extend(names.map(|(name, _)| name.to_owned()));
                }
            }
        }
    }
    tests
}

/// The functions below an attribute `#[test]` or `#[tokio::test…]`, without those that are ignored.
fn tests_of(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        let name = line.trim_start_matches("async ").strip_prefix("fn ");
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            is_test = false;
        } else if let Some(name) = name.filter(|_| is_test) {
            names.extend(name.split(['(', '<']).next().map(str::to_owned));
            is_test = false;
        }
    }
    names
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
