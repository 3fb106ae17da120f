//! The layout of `src`: which part may know which.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The rooms that each room of the engine imports from.
type Imports = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_engine_knows_neither_the_app_nor_the_demo() {
    for source in sources("engine/") {
        for path in source.paths() {
            let top = path.first().map_or("", String::as_str);
            assert!(
                !matches!(top, "app" | "dev" | "commands"),
                "{} names {}",
                source.name,
                path.join("::")
            );
        }
    }
}

#[test]
fn the_rooms_of_the_engine_import_each_other_without_a_circle() {
    let sources = sources("engine/");
    let rooms: BTreeSet<&str> = sources.iter().filter_map(Source::room).collect();
    let mut imports = Imports::new();
    for source in &sources {
        let Some(room) = source.room() else { continue };
        for path in source.paths() {
            // `crate::engine` alone is the start of a tree, which is followed by its leaves.
            let [top, imported, ..] = &path[..] else {
                continue;
            };
            assert!(
                top == "engine" && rooms.contains(&imported.as_str()),
                "{} imports {}, which is not in a room",
                source.name,
                path.join("::")
            );
            if imported != room {
                let rooms = imports.entry(room.to_owned()).or_default();
                rooms.insert(imported.clone());
            }
        }
    }
    assert!(imports.len() > 10, "the imports were not read: {imports:?}");
    assert_eq!(circle(&imports), None);
}

#[test]
fn sources_are_few_at_the_top_and_short_everywhere() {
    let top = fs::read_dir(src()).unwrap().count();
    assert!(top <= 7, "src has {top} entries");
    for source in sources("") {
        let lines = source.text.lines().count();
        assert!(lines <= 300, "{} has {lines} lines", source.name);
    }
}

#[test]
fn each_library_with_a_room_of_its_own_stays_there() {
    let rules: [(&str, &[&str]); 3] = [
        ("app/api/", &["utoipa"]),
        (
            "engine/session/",
            &["tower_sessions::", "use tower_sessions"],
        ),
        (
            "engine/db/",
            &["sqlx::query", "query!(", "query_as!(", "query_scalar!("],
        ),
    ];
    for (room, names) in rules {
        let (inside, outside): (Vec<_>, Vec<_>) = sources("")
            .into_iter()
            .partition(|source| source.name.starts_with(room));
        let code = |line: &&str| !line.trim_start().starts_with("//");
        let names_it = |line: &str| names.iter().any(|name| line.contains(name));
        let has_name = |source: &Source| source.text.lines().filter(code).any(names_it);
        // An app may have been made without this room.
        let is_used = inside.is_empty() || inside.iter().any(has_name);
        assert!(is_used, "{room} does not use {names:?}");
        // An app may have tables of its own.
        let owners = |source: &Source| room == "engine/db/" && source.name.starts_with("app/");
        for source in outside.iter().filter(|source| !owners(source)) {
            assert!(!has_name(source), "{} uses {names:?}", source.name);
        }
    }
}

/// Values that another template has escaped already, or that are a part of the program.
const RAW: [(&str, &str); 3] = [
    ("app/account/list.html", "{{ filter_form|safe }}"),
    ("app/account/list.html", "{{ shown.rows|safe }}"),
    ("engine/callback_refused.html", "{{ STYLE|safe }}"),
];

#[test]
fn templates_escape_every_value_and_hold_no_script() {
    let mut count = 0;
    for (name, text) in files("templates", "html") {
        if name.starts_with("dev/") {
            continue;
        }
        count += 1;
        let mut rest = text;
        for (_, raw) in RAW.iter().filter(|(file, _)| *file == name) {
            rest = rest.replace(raw, "");
        }
        for word in [
            "|safe",
            "| safe",
            "|escape",
            "| escape",
            "{% filter",
            "<script",
            "style=",
            "srcdoc",
            "javascript:",
            "={{",
            "={%",
            " onclick",
            " onerror",
            " onload",
        ] {
            assert!(!rest.contains(word), "templates/{name} has {word}");
        }
    }
    assert!(count > 5, "{count} templates were read");
    for source in sources("")
        .iter()
        .filter(|source| !source.name.starts_with("dev/"))
    {
        for word in [
            "escape = \"none\"",
            "HtmlSafe",
            "MaybeSafe",
            "filters::safe",
        ] {
            assert!(!source.text.contains(word), "{} has {word}", source.name);
        }
    }
}

#[test]
fn no_statement_is_put_together_from_text() {
    let sql = ["select ", "insert into ", "update ", "delete from "];
    for source in sources("") {
        if source.name.starts_with("dev/") {
            continue;
        }
        for word in [
            "AssertSqlSafe",
            "raw_sql",
            "QueryBuilder",
            "sqlx::query(&",
            "sqlx::query(f",
        ] {
            assert!(!source.text.contains(word), "{} has {word}", source.name);
        }
        for (at, _) in source.text.match_indices("format!(") {
            let text = source.text[at + "format!(".len()..]
                .trim_start()
                .to_lowercase();
            let text = text.trim_start_matches(['r', '#', '"']).trim_start();
            let is_sql = sql.iter().any(|word| text.starts_with(word));
            assert!(!is_sql, "{} formats SQL: {:.40}", source.name, text);
        }
    }
}

#[test]
fn imports_are_read_from_trees_and_inline_paths() {
    let source = Source {
        name: "engine/vault/refresh.rs".to_owned(),
        text: "// crate::app::comment
            pub use crate::{
                app::page,
                engine::{db::{self, grants::{store, take as take_lease}}, oauth::Token},
            };
            fn f() -> super::super::session::SessionId { super::super::super::dev::run(seal::open()) }
            use super::{Vault, context as c};"
            .to_owned(),
    };
    let paths: BTreeSet<String> = source.paths().iter().map(|path| path.join("::")).collect();
    for path in [
        "app::page",
        "engine::db",
        "engine::db::grants::store",
        "engine::db::grants::take",
        "engine::oauth::Token",
        "engine::session::SessionId",
        "dev::run",
        "engine::vault::Vault",
        "engine::vault::context",
    ] {
        assert!(paths.contains(path), "{path} is missing in {paths:?}");
    }
    assert!(!paths.iter().any(|path| path.contains("comment")));
}

#[test]
fn a_circle_is_found_with_its_path() {
    let imports = |pairs: &[(&str, &str)]| {
        let mut imports = Imports::new();
        for (from, to) in pairs {
            let rooms = imports.entry((*from).to_owned()).or_default();
            rooms.insert((*to).to_owned());
        }
        imports
    };
    let tree = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")];
    assert_eq!(circle(&imports(&tree)), None);
    let ring = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "b")];
    assert_eq!(circle(&imports(&ring)), Some("b → c → d → b".to_owned()));
}

/// A file below `src`.
struct Source {
    /// Its path below `src`.
    name: String,
    text: String,
}

impl Source {
    /// The module's path from the root of the crate.
    fn module(&self) -> Vec<String> {
        let name = self.name.trim_end_matches(".rs");
        let parts = name
            .split('/')
            .filter(|part| !matches!(*part, "mod" | "lib"));
        parts.map(str::to_owned).collect()
    }

    /// The folder or file directly below `src/engine`.
    fn room(&self) -> Option<&str> {
        let room = self.name.strip_prefix("engine/")?.split('/').next()?;
        Some(room.trim_end_matches(".rs")).filter(|room| *room != "mod")
    }

    /// Every path that begins with `crate`, `self` or `super`, in `use` trees and elsewhere, from
    /// the root of the crate.
    fn paths(&self) -> Vec<Vec<String>> {
        let code = self
            .text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        let code: String = code.flat_map(|line| [line, "\n"]).collect();
        let mut paths = Vec::new();
        for statement in code.split(';') {
            if let Some(tree) = use_tree(statement) {
                paths.extend(leaves(tree));
            }
        }
        for start in ["crate::", "super::"] {
            for (at, _) in code.match_indices(start) {
                let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let is_start = !code[..at].ends_with(is_path);
                let path = code[at..].split(|c| !is_path(c)).next();
                paths.extend(path.filter(|_| is_start).map(str::to_owned));
            }
        }
        let absolute = paths
            .iter()
            .filter_map(|path| absolute(&self.module(), path));
        absolute.collect()
    }
}

/// `a::{b, c}` of a statement that ends in `use a::{b, c}`.
fn use_tree(statement: &str) -> Option<&str> {
    let line = statement.rfind("use ").map(|at| statement.split_at(at))?;
    let before = line.0.chars().next_back();
    before
        .is_none_or(char::is_whitespace)
        .then(|| line.1["use ".len()..].trim())
}

/// The paths of a `use` tree, without their new names.
fn leaves(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree).trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let Some(body) = rest.trim_end().strip_suffix('}') else {
        return Vec::new();
    };
    let (mut branches, mut depth) = (vec![String::new()], 0);
    for c in body.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            branches.push(String::new());
        } else {
            branches.last_mut().unwrap().push(c);
        }
    }
    let branches = branches.iter().map(|branch| branch.trim());
    branches
        .filter(|branch| !branch.is_empty())
        .flat_map(|branch| leaves(&format!("{}{branch}", prefix.trim())))
        .collect()
}

/// `path` from the root of the crate. `None` for other crates.
fn absolute(module: &[String], path: &str) -> Option<Vec<String>> {
    let mut segments = path
        .split("::")
        .filter(|segment| !segment.is_empty())
        .peekable();
    let mut base = match segments.next()? {
        "crate" => Vec::new(),
        "self" => module.to_vec(),
        "super" => module[..module.len() - 1].to_vec(),
        _ => return None,
    };
    while segments.next_if_eq(&"super").is_some() {
        base.pop();
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

/// The first circle, as its path.
fn circle(imports: &Imports) -> Option<String> {
    fn walk<'a>(room: &'a str, imports: &'a Imports, path: &mut Vec<&'a str>) -> Option<String> {
        if let Some(start) = path.iter().position(|earlier| *earlier == room) {
            return Some([&path[start..], &[room]].concat().join(" → "));
        }
        path.push(room);
        let mut imported = imports.get(room).into_iter().flatten();
        let found = imported.find_map(|next| walk(next, imports, path));
        path.pop();
        found
    }
    imports
        .keys()
        .find_map(|room| walk(room, imports, &mut Vec::new()))
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All files below a folder of `src`.
fn sources(folder: &str) -> Vec<Source> {
    let inside = |(name, _): &(String, _)| name.starts_with(folder);
    let sources = files("src", "rs").into_iter().filter(inside);
    let sources: Vec<Source> = sources.map(|(name, text)| Source { name, text }).collect();
    assert!(!sources.is_empty(), "no sources in {folder}");
    sources
}

/// The files with this extension below a folder, by their path below it.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
                files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files
}
