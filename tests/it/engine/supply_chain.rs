//! What the program is built from, and what its image and its containers are made of.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// The oldest version of each library that is free of known holes.
const MINIMUMS: [(&str, &str); 11] = [
    ("aws-lc-sys", "0.39.0"),
    ("h2", "0.4.16"),
    ("hyper", "1.0.0"),
    ("idna", "1.0.0"),
    ("rustls", "0.23.18"),
    ("rustls-webpki", "0.103.13"),
    ("sqlx", "0.8.1"),
    ("time", "0.3.47"),
    ("tokio", "1.44.2"),
    ("tower-sessions-core", "0.15.0"),
    ("tracing-subscriber", "0.3.20"),
];
/// Libraries above that may be missing, because no other one needs them at the moment.
const ABSENT: [&str; 1] = ["h2"];
/// Two copies of these compile, but their types do not fit, or one of them is old.
const SINGLE: [&str; 7] = [
    "axum",
    "http",
    "hyper",
    "rustls",
    "sqlx",
    "sqlx-core",
    "tower-sessions-core",
];
/// Shapes of secrets that belong into no file of the repository.
const SECRETS: [(&str, usize); 8] = [
    ("-----BEGIN PRIVATE KEY-----", 0),
    ("-----BEGIN RSA PRIVATE KEY-----", 0),
    ("-----BEGIN EC PRIVATE KEY-----", 0),
    ("-----BEGIN OPENSSH PRIVATE KEY-----", 0),
    ("AKIA", 16),
    ("ghp_", 36),
    ("github_pat_", 22),
    ("xoxb-", 20),
];

#[test]
fn libraries_are_new_enough_single_and_from_the_registry() {
    let locked = locked();
    for (name, minimum) in MINIMUMS {
        let versions = locked.get(name);
        assert!(versions.is_some() || ABSENT.contains(&name), "{name}");
        for version in versions.into_iter().flatten() {
            let is_new_enough = numbers(version) >= numbers(minimum);
            assert!(is_new_enough, "{name} {version} is below {minimum}");
        }
    }
    for name in SINGLE {
        let versions = locked.get(name).map_or(0, Vec::len);
        assert_eq!(versions, 1, "{name}: {:?}", locked.get(name));
    }
    for name in ["native-tls", "openssl", "openssl-sys", "rsa"] {
        assert!(!locked.contains_key(name), "{name}");
    }
    for line in read("Cargo.lock").lines() {
        let source = line.strip_prefix("source = ");
        let registry = "\"registry+https://github.com/rust-lang/crates.io-index\"";
        assert!(source.is_none_or(|source| source == registry), "{line}");
    }
}

#[test]
fn one_compiler_builds_tests_and_images() {
    let toolchain = read("rust-toolchain.toml");
    let channel = toolchain
        .lines()
        .find_map(|line| line.strip_prefix("channel = "));
    let channel = channel.unwrap().trim_matches('"');
    assert_eq!(numbers(channel).len(), 3, "{channel} is no exact version");
    let image = format!("FROM rust:{channel}-bookworm");
    let dockerfile = read("Dockerfile");
    let builders: Vec<&str> = dockerfile
        .lines()
        .filter(|line| line.starts_with("FROM rust:") || line.starts_with("FROM registry."))
        .collect();
    assert!(!builders.is_empty());
    for line in builders {
        let is_pinned = line.contains("@sha256:") && line.contains(channel);
        assert!(line.starts_with(&image) || is_pinned, "{line}");
    }
    let oldest = read("Cargo.toml");
    let oldest = oldest
        .lines()
        .find_map(|line| line.strip_prefix("rust-version = "));
    assert!(numbers(channel) >= numbers(oldest.unwrap().trim_matches('"')));
}

#[test]
fn every_build_takes_the_versions_of_the_lock_file() {
    for file in [
        ".ci/run",
        "Dockerfile",
        "scripts/bench",
        "scripts/deny",
        "scripts/how-to",
        "scripts/lib.sh",
        "scripts/sqlx-prepare",
        "scripts/test",
    ] {
        // An app that was made of the template has no how-tos to try.
        if file == "scripts/how-to" && !root().join(file).exists() {
            continue;
        }
        let text = read(file);
        let code = text.lines().filter(|line| {
            let line = line.trim_start();
            let is_question = line.contains("clippy --version");
            !line.starts_with('#') && !line.starts_with("say ") && !is_question
        });
        let mut builds = 0;
        for line in code {
            let commands = ["bench", "build", "check", "clippy", "install", "test"];
            let is_build = commands.iter().any(|command| {
                line.contains(&format!("cargo {command} "))
                    || line.contains(&format!("cargo auditable {command} "))
            });
            if is_build {
                builds += 1;
                assert!(line.contains("--locked"), "{file}: {line}");
            }
        }
        assert!(
            builds > 0 || file == "scripts/deny",
            "{file} builds nothing"
        );
    }
}

#[test]
fn the_image_holds_the_program_and_no_shell() {
    let dockerfile = read("Dockerfile");
    let stages: Vec<&str> = dockerfile
        .split("\nFROM ")
        .skip(1)
        .filter(|stage| stage.starts_with("scratch"))
        .collect();
    assert_eq!(stages.len(), 2, "the demo's image and the server's");
    for stage in stages {
        assert!(stage.contains("\nUSER 10001:10001\n"), "{stage}");
        let copies = stage.lines().filter(|line| line.starts_with("COPY "));
        for copy in copies {
            let is_expected = ["--from=build /image /", "--from=build-demo /image /"]
                .iter()
                .any(|image| copy.ends_with(image));
            let is_front_end = copy.starts_with("COPY frontend/dist ");
            assert!(is_expected || is_front_end, "{copy}");
        }
    }
    let last = dockerfile.rsplit("\nFROM ").next().unwrap();
    assert!(
        last.starts_with("scratch\nCOPY --from=build /image /\n"),
        "{last}"
    );
    assert!(dockerfile.contains("cargo auditable build --release --locked --no-default-features"));
    assert!(dockerfile.contains("install -m 0555 target/release/"));
    assert!(dockerfile.contains("ca-certificates.crt"));
    for line in dockerfile.lines().filter(|line| !line.starts_with('#')) {
        let sets = line.starts_with("ARG ") || line.starts_with("ENV ");
        let names_secret = ["SECRET", "PASSWORD", "TOKEN", "KEY", "DATABASE_URL"]
            .iter()
            .any(|word| line.contains(word));
        assert!(!(sets && names_secret), "{line}");
        assert!(!line.starts_with("COPY . "), "{line}");
    }
}

#[test]
fn no_history_key_or_dump_gets_into_the_image() {
    let ignored = read(".dockerignore");
    for path in [
        ".git/config",
        ".env",
        ".env.production",
        "deploy/.env",
        "target/release/build",
        "token-keys",
        "deploy/token-keys-old",
        "server.pem",
        "deploy/tls/server.key",
        "client.p12",
        "backup.dump",
        "backup.sql",
        "backups/2026.sql.gz",
        ".pg/data/PG_VERSION",
    ] {
        assert!(is_ignored(&ignored, path), "{path} gets into the image");
    }
    for path in [
        ".cargo/config.toml",
        ".sqlx/query-1.json",
        "Cargo.lock",
        "build.rs",
        "migrations/0001_sessions.sql",
        "src/main.rs",
        "templates/app/base.html",
    ] {
        assert!(
            !is_ignored(&ignored, path),
            "{path} is missing in the image"
        );
    }
}

#[test]
fn containers_have_few_rights() {
    let compose = read("docker-compose.yml");
    let code = compose
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let code: Vec<&str> = code.collect();
    let app = section(&code, "x-app: &app");
    let rights = [
        "read_only: true",
        "cap_drop: [ALL]",
        "security_opt: [\"no-new-privileges:true\"]",
    ];
    let is_held = |lines: &[&str]| {
        let has = |right: &&str| lines.iter().any(|line| line.trim() == *right);
        rights.iter().all(has) && is_limited(lines)
    };
    assert!(is_held(&app), "{app:?}");
    let services = section(&code, "services:");
    let services: Vec<&str> = services
        .into_iter()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .collect();
    assert!(services.len() > 3, "{services:?}");
    for service in services {
        let lines = section(&code, service);
        // The start script of the database changes the user, which takes more rights.
        let is_database = service == "  db:" && is_limited(&lines);
        let is_fine = lines.contains(&"    <<: *app") || is_held(&lines) || is_database;
        assert!(is_fine, "{service} has too many rights");
    }
    for line in &code {
        for right in [
            "privileged:",
            "cap_add:",
            "docker.sock",
            "network_mode: host",
            "pid: host",
            "unconfined",
        ] {
            assert!(!line.contains(right), "{line}");
        }
    }
    let mut ports = 0;
    for (number, line) in code.iter().enumerate() {
        if line.trim_start().starts_with("ports:") {
            assert_eq!(line.trim(), "ports:", "one port on each line");
            let indent = |line: &str| line.len() - line.trim_start().len();
            let entries = code[number + 1..].iter();
            let entries = entries.take_while(|entry| indent(entry) > indent(line));
            for entry in entries {
                assert!(entry.trim().starts_with("- \"127.0.0.1:"), "{entry}");
                ports += 1;
            }
        }
    }
    assert!(ports > 0);
    let internal = section(&code, "networks:").join("\n");
    assert!(internal.contains("  database:\n    internal: true"));
}

#[test]
fn no_file_of_the_repository_holds_a_secret() {
    let files = git(&[
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let files: Vec<&str> = files.split('\0').filter(|name| !name.is_empty()).collect();
    assert!(files.len() > 100, "{files:?}");
    for name in files {
        let file_name = name.rsplit('/').next().unwrap();
        let is_example = file_name == ".env.example";
        assert!(is_example || !file_name.starts_with(".env"), "{name}");
        let Ok(text) = fs::read_to_string(root().join(name)) else {
            continue;
        };
        let found = secret(&text);
        // This file lists the shapes.
        let is_this = name == "tests/it/engine/supply_chain.rs";
        assert!(is_this || found.is_none(), "{name} holds {found:?}");
    }
    assert!(secret(&format!("key = \"{}{}\"", "AKIA", "ABCDEFGH12345678")).is_some());
    assert!(secret(&format!("-----BEGIN {}KEY-----", "PRIVATE ")).is_some());
    let ignored = git(&["check-ignore", ".env", ".env.production", ".env.example"]);
    assert_eq!(ignored, ".env\n.env.production\n");
}

/// The first secret in a text, by its shape.
fn secret(text: &str) -> Option<&'static str> {
    let has = |(start, length): &(&str, usize)| {
        text.match_indices(start).any(|(at, _)| {
            let rest = text[at + start.len()..].bytes();
            let is_part = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-');
            rest.take_while(is_part).count() >= *length
        })
    };
    SECRETS.iter().find(|shape| has(shape)).map(|shape| shape.0)
}

/// Whether memory, processes and core dumps have a limit.
fn is_limited(lines: &[&str]) -> bool {
    let value = |name| lines.iter().find_map(|line| line.trim().strip_prefix(name));
    let has_no_core = |limits: &str| limits.contains(" core: 0 ");
    value("mem_limit: ").is_some()
        && value("pids_limit: ").is_some()
        && value("ulimits: ").is_some_and(has_no_core)
}

/// The lines below a heading that are indented further.
fn section<'a>(lines: &[&'a str], heading: &str) -> Vec<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let start = lines.iter().position(|line| *line == heading);
    let start = start.unwrap_or_else(|| panic!("{heading} is missing"));
    let inside = lines[start + 1..]
        .iter()
        .take_while(|line| line.is_empty() || indent(line) > indent(heading));
    inside.copied().collect()
}

/// Whether a line of .dockerignore matches the path or a folder that it is in.
fn is_ignored(ignored: &str, path: &str) -> bool {
    let patterns = ignored
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    let parts: Vec<&str> = folders.chain([path]).collect();
    patterns.into_iter().any(|pattern| {
        parts.iter().any(|part| match pattern.strip_prefix("**/") {
            Some(name) => matches(name, part.rsplit('/').next().unwrap()),
            None => matches(pattern, part),
        })
    })
}

/// `*` stands for any characters but `/`.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == path,
        Some((start, rest)) => path.strip_prefix(start).is_some_and(|path| {
            let ends = path.find('/').unwrap_or(path.len());
            (0..=ends).any(|at| path.is_char_boundary(at) && matches(rest, &path[at..]))
        }),
    }
}

/// The versions of each package in Cargo.lock.
fn locked() -> BTreeMap<String, Vec<String>> {
    let mut locked = BTreeMap::<_, Vec<_>>::new();
    let text = read("Cargo.lock");
    for package in text.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.unwrap().trim_matches('"').to_owned()
        };
        let versions = locked.entry(value("name = ")).or_default();
        versions.push(value("version = "));
    }
    locked
}

/// `1.2.3` as numbers. A suffix after `-` or `+` counts for nothing.
fn numbers(version: &str) -> Vec<u64> {
    let version = version.split(['-', '+']).next().unwrap();
    version
        .split('.')
        .map(|part| part.parse().unwrap())
        .collect()
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
