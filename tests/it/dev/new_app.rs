//! `scripts/new-app` and `scripts/update` on copies of this repository.

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
    assert!(
        manifest.contains("version = \"0.1.0\"\nedition"),
        "{manifest}"
    );
    let record = "name = \"Otter Club\"\nslug = \"otter-club\"\nwithout = \"\"\n";
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
    assert!(!at.join("scripts/new-app").exists());
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
        (&["Otter Club", "--without"], "--without needs a list"),
        (
            &["Otter Club", "--without", "api,pages"],
            "there is no part pages. The parts are: api data holders",
        ),
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

/// A line of the lock file.
const WINCON: &str = "name = \"anstyle-wincon\"\nversion = \"";

/// A template with version 0.1.0, an app that was made of it, and then version 9.0.0 of the template.
fn template_and_app() -> (Folder, Folder) {
    let (template, app) = (copy(), Folder::new());
    let from = template.path();
    done(from, "git", &["tag", "v0.1.0"]);
    let source = from.to_str().unwrap();
    done(app.path(), "git", &["clone", "--quiet", source, "."]);
    done(app.path(), "scripts/new-app", &["Otter Club"]);

    let clock = from.join("src/engine/clock.rs");
    append(&clock, "// A comment of matrica_starter.\n");
    append(&from.join("CHANGELOG.md"), "- **Security** A new line.\n");
    replace(
        &from.join("Cargo.toml"),
        "version = \"0.1.0\"",
        "version = \"9.0.0\"",
    );
    replace(
        &from.join("Cargo.lock"),
        "name = \"matrica-starter\"\nversion = \"0.1.0\"",
        "name = \"matrica-starter\"\nversion = \"9.0.0\"",
    );
    replace(&from.join("Cargo.lock"), WINCON, &format!("{WINCON}8"));
    fs::write(
        from.join("docs/advisories/2027-001.md"),
        "# Strangers may read it.\n\nAffected since: 0.1.0\nFixed in: 9.0.0\n",
    )
    .unwrap();
    done(from, "git", &["add", "--all"]);
    done(from, "git", &["commit", "--quiet", "--message", "Newer"]);
    done(from, "git", &["tag", "v9.0.0"]);
    (template, app)
}

fn append(file: &Path, text: &str) {
    let old = fs::read_to_string(file).unwrap();
    fs::write(file, old + text).unwrap();
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{old}");
    fs::write(file, text.replacen(old, new, 1)).unwrap();
}

fn commit(folder: &Path) {
    done(
        folder,
        "git",
        &["commit", "--quiet", "--all", "--message", "Mine"],
    );
}

#[test]
fn an_update_merges_the_newer_template_into_a_changed_app() {
    let (_template, app) = template_and_app();
    let at = app.path();
    append(&at.join("src/app/home.rs"), "// Mine.\n");
    // The versions of the app are its own. Both sides have another version of one library.
    replace(
        &at.join("Cargo.toml"),
        "version = \"0.1.0\"",
        "version = \"0.1.7\"",
    );
    replace(&at.join("Cargo.lock"), WINCON, &format!("{WINCON}7"));
    commit(at);

    let (is_safe, said) = run(at, "scripts/update", &["--check"]);
    assert!(!is_safe, "{said}");
    assert!(
        said.contains("2027-001: Strangers may read it. Fixed in 9.0.0."),
        "{said}"
    );

    let said = done(at, "scripts/update", &["--merge-only"]);
    assert!(said.contains("from version 0.1.0 to 9.0.0"), "{said}");
    assert!(said.contains("  - **Security** A new line."), "{said}");
    let clock = fs::read_to_string(at.join("src/engine/clock.rs")).unwrap();
    assert!(clock.ends_with("// A comment of otter_club.\n"), "{clock}");
    let home = fs::read_to_string(at.join("src/app/home.rs")).unwrap();
    assert!(home.ends_with("// Mine.\n"));
    assert_eq!(done(at, "git", &["status", "--porcelain"]), "");
    assert_eq!(done(at, "git", &["worktree", "list"]).lines().count(), 1);

    let manifest = fs::read_to_string(at.join("Cargo.toml")).unwrap();
    assert!(
        manifest.contains("version = \"0.1.7\"\nedition"),
        "{manifest}"
    );
    assert!(
        manifest.contains("version = \"9.0.0\"\ncommit"),
        "{manifest}"
    );
    let lock = fs::read_to_string(at.join("Cargo.lock")).unwrap();
    assert!(lock.contains(&format!("{WINCON}8")));
    let said = done(at, "scripts/update", &["--check"]);
    assert!(
        said.contains("No advisory affects version 9.0.0."),
        "{said}"
    );
    let said = done(at, "scripts/update", &["--merge-only"]);
    assert!(said.contains("up to date with version 9.0.0"), "{said}");
    // The branch was lost, and is made again without a change of the files.
    done(at, "git", &["branch", "--quiet", "-D", "starter"]);
    let (found, said) = run(at, "scripts/update", &["--merge-only"]);
    assert!(!found && said.contains("--adopt"), "{said}");
    let before = done(at, "git", &["rev-parse", "HEAD^{tree}"]);
    done(at, "scripts/update", &["--adopt"]);
    assert_eq!(done(at, "git", &["rev-parse", "HEAD^{tree}"]), before);
    let said = done(at, "scripts/update", &["--merge-only"]);
    assert!(said.contains("up to date"), "{said}");
}

#[test]
fn parts_are_left_out_and_stay_out_of_later_versions() {
    let (template, app) = (copy(), Folder::new());
    let (from, at) = (template.path(), app.path());
    let source = from.to_str().unwrap();
    done(at, "git", &["clone", "--quiet", source, "."]);
    let without = ["Otter Club", "--without", "api,holders,data"];
    done(at, "scripts/new-app", &without);
    let gone = [
        "src/app/api",
        "src/app/holders.rs",
        "src/app/club.rs",
        "src/app/account",
        "scripts/parts",
    ];
    let assert_gone = || {
        for path in gone {
            assert!(!at.join(path).exists(), "{path}");
        }
        for words in ["utoipa", "club_members", "/holders"] {
            let paths = ["src", "migrations", "templates", "Cargo.toml", "Cargo.lock"];
            let arguments = [&["grep", "-Il", words, "--"][..], &paths[..]].concat();
            let (_, left) = run(at, "git", &arguments);
            assert_eq!(left, "", "{words}");
        }
    };
    assert_gone();
    let record = fs::read_to_string(at.join("Cargo.toml")).unwrap();
    assert!(
        record.contains("without = \"api holders data\""),
        "{record}"
    );
    assert_eq!(done(at, "git", &["status", "--porcelain"]), "");

    append(&from.join("src/app/api/mod.rs"), "// Newer.\n");
    append(&from.join("src/engine/clock.rs"), "// Newer.\n");
    commit(from);
    done(at, "scripts/update", &["--merge-only"]);
    assert_gone();
    let clock = fs::read_to_string(at.join("src/engine/clock.rs")).unwrap();
    assert!(clock.ends_with("// Newer.\n"));
}

#[test]
fn an_update_that_git_cannot_merge_names_the_files_and_can_be_undone() {
    let (_template, app) = template_and_app();
    let at = app.path();
    append(&at.join("src/engine/clock.rs"), "// Mine.\n");
    let (clean, said) = run(at, "scripts/update", &["--merge-only"]);
    assert!(!clean && said.contains("the tree has changes"), "{said}");
    commit(at);
    let mine = done(at, "git", &["rev-parse", "HEAD"]);
    let (unknown, said) = run(at, "scripts/update", &["3.0.0"]);
    assert!(!unknown && said.contains("no version 3.0.0"), "{said}");

    let (merged, said) = run(at, "scripts/update", &["--merge-only"]);
    assert!(!merged, "{said}");
    assert!(
        said.contains("could not merge these files:\n  src/engine/clock.rs\nEdit"),
        "{said}"
    );
    done(at, "git", &["merge", "--abort"]);
    assert_eq!(done(at, "git", &["rev-parse", "HEAD"]), mine);
    assert_eq!(done(at, "git", &["status", "--porcelain"]), "");
    // Trying again must not say that all is well.
    let (merged, said) = run(at, "scripts/update", &["--merge-only"]);
    assert!(!merged && said.contains("src/engine/clock.rs"), "{said}");
}
