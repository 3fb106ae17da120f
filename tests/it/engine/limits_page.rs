//! The page of limits says what the code says.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// The types of limits.
const TYPES: [&str; 13] = [
    "&str",
    "Duration",
    "RangeInclusive<Duration>",
    "Rate",
    "f64",
    "i32",
    "i64",
    "time::Duration",
    "u16",
    "u32",
    "u64",
    "u8",
    "usize",
];

/// Numbers that stand for a state.
const STATES: [&str; 3] = ["RIGHT", "UNCHECKED", "WRONG"];

/// A file below `src/engine`, a name, and a value as the code has it.
type Limit = [String; 3];

#[test]
fn the_page_of_limits_is_what_the_code_says() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let (mut folders, mut found) = (vec![engine.clone()], BTreeSet::<Limit>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let file = path.strip_prefix(&engine).unwrap().to_str().unwrap();
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            let settings = code.lines().filter_map(setting);
            for [name, value] in code.lines().filter_map(limit).chain(settings) {
                found.insert([file.to_owned(), name, value]);
            }
        }
    }
    assert!(found.len() > 150, "{} limits were found", found.len());
    let page = include_str!("../../../docs/limits.md");
    let rows = page.split_once("\n## Limits\n").unwrap().1.lines();
    let listed: BTreeSet<Limit> = rows
        .filter_map(|row| {
            let mut cells = row.strip_prefix("| `")?.split("` | ");
            let cell = |cell: Option<&str>| cell.map(|cell| cell.trim_matches('`').to_owned());
            Some([
                cell(cells.next())?,
                cell(cells.next())?,
                cell(cells.next())?,
            ])
        })
        .collect();
    let row = |[file, name, value]: &Limit| format!("| `{file}` | `{name}` | `{value}` |");
    let missing: Vec<String> = found.difference(&listed).map(row).collect();
    assert!(missing.is_empty(), "docs/limits.md lacks {missing:#?}");
    let stale: Vec<String> = listed.difference(&found).map(row).collect();
    assert!(stale.is_empty(), "docs/limits.md has {stale:#?}");
}

/// The rates of the page of routes, in its order.
const RATES: [&str; 6] = [
    "LOGIN_STARTS",
    "CALLBACKS",
    "CHANGES",
    "READS",
    "EXCHANGES",
    "PROVIDER_CALLS",
];

#[test]
fn the_rates_on_the_page_of_routes_are_those_of_the_code() {
    let code = include_str!("../../../src/engine/limits/mod.rs");
    let rate = |name: &str| {
        let mut limits = code.lines().filter_map(limit);
        let [_, value] = limits.find(|[found, _]| found == name).unwrap();
        let numbers = value.strip_prefix("Rate::new(").unwrap();
        let numbers = numbers.strip_suffix(')').unwrap().split(", ");
        let numbers: Vec<String> = numbers.map(|number| number.replace('_', ",")).collect();
        numbers.join(" | ")
    };
    let page = include_str!("../../../docs/routes.md");
    let table = page
        .split_once("| at once | then each second |\n")
        .unwrap()
        .1;
    let rows = table.lines().map(str::trim).skip(1);
    let rows = rows.map_while(|row| row.strip_prefix("| ")?.strip_suffix(" |"));
    let listed: Vec<&str> = rows.map(|row| row.split_once(" | ").unwrap().1).collect();
    assert_eq!(listed, RATES.map(rate));
}

/// Name and value of `("NAME", "VALUE"),`, a setting of a connection to the database.
fn setting(line: &str) -> Option<[String; 2]> {
    let pair = line.trim().strip_prefix("(\"")?.strip_suffix("\"),")?;
    let (name, value) = pair.split_once("\", \"")?;
    let is_number = value.starts_with(|first: char| first.is_ascii_digit());
    is_number.then(|| [name.to_owned(), format!("\"{value}\"")])
}

/// Name and value of `pub(super) const NAME: usize = VALUE;`.
fn limit(line: &str) -> Option<[String; 2]> {
    let (before, rest) = line.trim().split_once("const ")?;
    let is_visible = before.is_empty() || before.starts_with("pub");
    let (name, rest) = rest.split_once(": ")?;
    let (type_name, value) = rest.strip_suffix(';')?.split_once(" = ")?;
    let is_text = type_name == "&str" && !value[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_limit = TYPES.contains(&type_name) && !is_text && !STATES.contains(&name);
    (is_visible && is_limit).then(|| [name.to_owned(), value.to_owned()])
}
