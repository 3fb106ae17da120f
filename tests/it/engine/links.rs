//! Every link between files of the repository leads somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The files below a folder with one of these extensions.
fn files(folder: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|it| it.to_str());
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if extension.is_some_and(|it| extensions.contains(&it)) {
            found.push(path);
        }
    }
    found
}

/// The text without blocks of code.
fn prose(text: &str) -> String {
    let parts = text.split("```");
    parts.step_by(2).collect()
}

/// The anchors of a page, as GitHub makes them of headings.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(&fs::read_to_string(page).unwrap_or_default());
    let heads = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let words = words.replace(' ', "-");
        words.replace(|c: char| !c.is_alphanumeric() && !"-_".contains(c), "")
    };
    heads.map(anchor).collect()
}

/// What is wrong with a link from a page. `None` if it leads somewhere.
fn dead(page: &Path, link: &str) -> Option<String> {
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match file {
        "" => page.to_owned(),
        file => page.parent().unwrap().join(file),
    };
    let leads = target.exists() && (anchor.is_empty() || anchors(&target).contains(anchor));
    (!leads).then(|| format!("{}: {link}", page.display()))
}

#[test]
fn each_link_of_a_page_leads_to_a_file_and_a_heading() {
    let root = Path::new(ROOT);
    let mut pages = files(&root.join("docs"), &["md"]);
    pages.extend(files(&root.join("deploy"), &["md"]));
    let top = fs::read_dir(root).unwrap().map(|it| it.unwrap().path());
    pages.extend(top.filter(|path| path.extension().is_some_and(|it| it == "md")));
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in &pages {
        let text = prose(&fs::read_to_string(page).unwrap());
        let targets = text.split("](").skip(1);
        let targets = targets.map(|rest| rest.split(')').next().unwrap());
        for link in targets.filter(|link| !link.contains(':')) {
            links += 1;
            wrong.extend(dead(page, link));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(links > 100, "only {links} links");
}

#[test]
fn each_page_that_code_or_configuration_names_exists() {
    let root = Path::new(ROOT);
    let mut named = files(&root.join("src"), &["rs"]);
    let kinds = [
        "yml", "yaml", "toml", "cfg", "ini", "conf", "service", "sql",
    ];
    named.extend(files(&root.join("deploy"), &kinds));
    named.push(root.join("deploy/caddy/Caddyfile"));
    let of_a_page = |c: char| c.is_ascii_alphanumeric() || "-_/.#".contains(c);
    let mut wrong = Vec::new();
    for file in &named {
        let text = fs::read_to_string(file).unwrap();
        for (at, _) in text.match_indices("docs/") {
            let name = text.get(at..).unwrap().split(|c| !of_a_page(c)).next();
            let name = name.unwrap().trim_end_matches('.');
            if name.contains(".md") {
                let dead = dead(&root.join("README.md"), name);
                wrong.extend(dead.map(|_| format!("{}: {name}", file.display())));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
