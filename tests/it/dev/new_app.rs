//! `scripts/new-app` on a copy of this repository.

use std::{fs, path::Path, process::Command};

use crate::support::Folder;

/// Runs a program. Returns whether it succeeded, and what it wrote.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_AUTHOR_NAME", "Otter")
        .env("GIT_AUTHOR_EMAIL", "otter@example.test")
        .env("GIT_COMMITTER_NAME", "Otter")
        .env("GIT_COMMITTER_EMAIL", "otter@example.test")
        .output()
        .unwrap();
    let written = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(written).unwrap())
}

fn done(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let (succeeded, written) = run(folder, program, arguments);
    assert!(succeeded, "{program} {arguments:?}: {written}");
    written
}

/// A repository with the files of this one, as they are now.
fn copy() -> Folder {
    let folder = Folder::new();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copying = r#"git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
        tar --create --null --files-from=- --ignore-failed-read 2>/dev/null | tar --extract --directory "$0""#;
    let to = folder.path().to_str().unwrap();
    done(here, "sh", &["-c", copying, to]);
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &["commit", "--quiet", "--message", "Start"],
    ] {
        done(folder.path(), "git", arguments);
    }
    folder
}

#[test]
fn one_command_renames_everything_that_may_be_renamed() {
    let folder = copy();
    let at = folder.path();
    let migrations = done(at, "git", &["rev-parse", "HEAD:migrations"]);
    let licence = done(at, "git", &["rev-parse", "HEAD:LICENSE-MIT"]);

    let said = done(at, "scripts/new-app", &["Otter Club"]);
    assert!(
        said.contains("This is Otter Club now (otter-club)."),
        "{said}"
    );

    let (_, left) = run(at, "git", &["grep", "-Iil", "matrica.starter"]);
    assert_eq!(left, "LICENSE-MIT\n");
    assert_eq!(
        done(at, "git", &["rev-parse", "HEAD:migrations"]),
        migrations
    );
    assert_eq!(done(at, "git", &["rev-parse", "HEAD:LICENSE-MIT"]), licence);
    assert_eq!(
        done(at, "git", &["rev-parse", "HEAD"]),
        done(at, "git", &["rev-parse", "starter"])
    );
    assert_eq!(done(at, "git", &["status", "--porcelain"]), "");
    let manifest = fs::read_to_string(at.join("Cargo.toml")).unwrap();
    let record = "name = \"Otter Club\"\nslug = \"otter-club\"\n";
    assert!(manifest.ends_with(record), "{manifest}");
    let seal = fs::read_to_string(at.join("src/engine/seal.rs")).unwrap();
    let here = include_str!("../../../src/engine/seal.rs");
    let label = here
        .lines()
        .find(|line| line.contains("tokens v1"))
        .unwrap();
    assert!(
        seal.contains(label),
        "the label of stored tokens has changed"
    );
    // cargo leaves the lock file as it is, and the code is formatted.
    done(at, "cargo", &["tree", "--offline", "--depth", "1"]);
    done(at, "cargo", &["fmt", "--all", "--check"]);
    assert_eq!(done(at, "git", &["status", "--porcelain"]), "");
    let (again, _) = run(at, "sh", &["scripts/new-app", "Otter Club"]);
    assert!(!again, "an app was renamed twice");
}

#[test]
fn what_it_cannot_do_is_refused_before_the_first_change() {
    let folder = copy();
    let at = folder.path();
    let head = done(at, "git", &["rev-parse", "HEAD"]);
    for (arguments, reason) in [
        (&[][..], "Usage"),
        (&["--help"][..], "Usage"),
        (&["Otter", "Club"], "one name only"),
        (&["Otter Club", "--slug"], "--slug needs a name"),
        (&["Otter Club", "--colour"], "no option --colour"),
        (&["Otter's Club"], "cannot take"),
        (&["<b>"], "cannot take"),
        (&["Otter\nClub"], "more than one line"),
        (&[" Otter"], "space"),
        (&["Otter Club", "--slug", "Otter"], "lower-case"),
        (&["Otter Club", "--slug", "otter--club"], "lower-case"),
        (&["123"], "begins with a letter"),
        (&["Ωμέγα"], "use --slug"),
        (&["Match"], "Rust or cargo uses the name match"),
        (&["Axum"], "a library has the name axum"),
        (&["Matrica starter"], "name of the template"),
        (&[&"x".repeat(61)], "longer than 60"),
        (&["Otter", "--slug", &"x".repeat(41)], "longer than 40"),
    ] {
        let (succeeded, said) = run(at, "scripts/new-app", arguments);
        assert_eq!(succeeded, arguments == ["--help"], "{arguments:?}: {said}");
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    fs::write(at.join("README.md"), "mine").unwrap();
    let (succeeded, said) = run(at, "scripts/new-app", &["Otter Club"]);
    assert!(
        !succeeded && said.contains("the tree has changes"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(at.join("README.md")).unwrap(), "mine");
    assert_eq!(done(at, "git", &["rev-parse", "HEAD"]), head);
}
