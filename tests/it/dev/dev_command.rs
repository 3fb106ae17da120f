//! `dev` and `demo-provider` as somebody meets them who has just cloned this: the real binary, in a
//! folder of its own.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{TcpListener, TcpStream},
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::CommandExt,
    },
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use matrica_starter::engine::seal::Keyring;
use secrecy::ExposeSecret;

use crate::support::{
    Browser, Folder, Provider,
    dev::{self, Dev, wait_until},
    process::{self, free_port},
};

/// Longer than an idle machine needs by far.
const SECONDS: Duration = Duration::from_secs(8);

#[test]
fn the_banner_says_where_the_app_is_and_whom_one_can_sign_in_as() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let banner = fs::read_to_string(folder.path().join("stdout")).unwrap();
    let banner = &banner[banner.find("  App ").unwrap()..];
    assert!(
        banner.contains(&format!("{}   <- open this", dev.url)),
        "{banner}"
    );
    assert!(banner.contains(&dev.provider.url), "{banner}");
    for person in ["ada", "collector", "empty", "newcomer", "denier"] {
        assert!(
            banner
                .lines()
                .any(|line| line.trim_start().starts_with(&format!("{person} "))),
            "{banner}"
        );
    }
    assert!(
        banner.lines().count() < 20 && banner.lines().all(|line| line.chars().count() <= 110),
        "{banner}"
    );
}

#[test]
fn ctrl_c_and_sigterm_end_everything_within_seconds() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder);
    for signal in ["INT", "TERM"] {
        let postmaster = dev.postmaster().unwrap();
        // Browsers hold connections open on which they have not asked for anything yet.
        let silent = TcpStream::connect(dev.url.replace("http://localhost", "127.0.0.1")).unwrap();
        let started = Instant::now();
        if signal == "INT" {
            dev.ctrl_c();
        } else {
            dev.signal(signal);
        }
        let status = dev.wait();
        assert!(status.success(), "SIG{signal}: {status}, {}", dev.output());
        assert!(
            started.elapsed() < SECONDS,
            "SIG{signal} took {:?}",
            started.elapsed()
        );
        assert!(
            !dev::is_alive(&postmaster),
            "SIG{signal} left a Postgres behind"
        );
        drop(silent);
        if signal == "INT" {
            dev = dev.start_again();
        }
    }
}

#[test]
fn when_it_is_killed_its_postgres_ends_too_and_the_next_start_succeeds() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder);
    let postmaster = dev.postmaster().unwrap();
    dev.signal("KILL");
    assert!(!dev.wait().success());
    wait_until("Postgres ends", SECONDS, || !dev::is_alive(&postmaster));
    dev.start_again();
}

#[tokio::test]
async fn a_second_start_in_the_same_folder_is_refused_and_the_first_goes_on() {
    let folder = Folder::new();
    let dev = Dev::start(&folder);
    let (status, words) = dev::refused([free_port(), free_port()], folder.path());
    assert_eq!(status.code(), Some(1));
    assert!(
        words.contains("`dev` runs in this checkout already"),
        "{words}"
    );
    assert_eq!(words.lines().count(), 1, "{words}");
    Browser::new(&dev.url).get("/").await.assert_status(200);
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_chooses_another_and_nothing_stays_behind() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken
        .local_addr()
        .map(|address| (address.port(), taken))
        .unwrap();
    for (ports, flag) in [
        ([taken.0, free_port()], "--port"),
        ([free_port(), taken.0], "--provider-port"),
    ] {
        let (status, words) = dev::refused(ports, folder.path());
        assert_eq!(status.code(), Some(1));
        assert!(
            words.contains(&format!("port {} is taken", taken.0)),
            "{words}"
        );
        assert!(words.trim_end().ends_with(flag), "{words}");
        assert_eq!(dev::postmaster(folder.path()), None, "Postgres still runs");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_still_there_after_stopping_and_starting_again() {
    let folder = Folder::new();
    let mut dev = Dev::start(&folder);
    let mut browser = Browser::new(&dev.url);
    browser
        .sign_in(&dev.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Primary on Solana");
    dev.signal("TERM");
    assert!(dev.wait().success());
    let dev = dev.start_again();
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Ada Lindqvist");
    // The stand-in for Matrica forgets everything; signing in once more connects again.
    browser
        .sign_in(&dev.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Primary on Solana");
}

#[tokio::test]
async fn settings_from_the_environment_win() {
    let own = Keyring::generate("own").expose_secret().to_owned();
    for settings in [
        [
            ("TOKEN_KEYS", own.as_str()),
            ("MATRICA_CLIENT_SECRET", "own-secret"),
            ("MATRICA_CLIENT_ID", "own-app"),
        ],
        [
            ("DATABASE_URL", ""),
            ("MATRICA_CLIENT_TYPE", "public"),
            ("MATRICA_SCOPES", "profile wallets roles"),
        ],
    ] {
        let folder = Folder::new();
        let settings: BTreeMap<String, String> = settings
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let dev = Dev::start_with(folder.path(), &|| process::command(&settings));
        let mut browser = Browser::new(&dev.url);
        browser
            .sign_in(&dev.provider, "ada")
            .await
            .assert_redirect("/account");
        browser
            .get("/account")
            .await
            .assert_status(200)
            .assert_contains("Primary on Solana");
    }
}

#[tokio::test]
async fn it_needs_no_rights_but_those_of_an_ordinary_user() {
    let folder = Folder::new();
    // `initdb` refuses root, so root's tests become somebody else, who may not enter root's own
    // folders.
    let ids = (folder.path().metadata().unwrap().uid() == 0).then(|| ["-u", "-g"].map(nobody));
    let program = folder.path().join("matrica-starter");
    fs::copy(process::BINARY, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    if let Some([user, group]) = ids {
        chown(&home, Some(user), Some(group)).unwrap();
    }
    let dev = Dev::start_with(&home, &|| {
        let mut command = Command::new(&program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default());
        if let Some([user, group]) = ids {
            command.uid(user).gid(group);
        }
        command
    });
    let mut browser = Browser::new(&dev.url);
    browser
        .sign_in(&dev.provider, "ada")
        .await
        .assert_redirect("/account");
    browser
        .get("/account")
        .await
        .assert_status(200)
        .assert_contains("Primary on Solana");
    let owner = ids.map_or(folder.path().metadata().unwrap().uid(), |[user, _]| user);
    let process_of = |id: String| fs::metadata(format!("/proc/{id}")).map(|process| process.uid());
    if cfg!(target_os = "linux") {
        assert_eq!(process_of(dev.postmaster().unwrap()).unwrap(), owner);
    }
}

#[tokio::test]
async fn the_demo_provider_alone_says_one_line_and_serves() {
    let folder = Folder::new();
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let (said, errors) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let mut command = process::command(&BTreeMap::new());
    command
        .args([
            "demo-provider",
            "--listen-addr",
            &format!("127.0.0.1:{port}"),
        ])
        .stdin(Stdio::null());
    command
        .stdout(File::create(&said).unwrap())
        .stderr(File::create(&errors).unwrap());
    let mut child = Ended(command.spawn().unwrap());
    wait_until("it says something", SECONDS, || {
        fs::read_to_string(&said).unwrap().ends_with('\n')
    });
    let challenge = "A".repeat(43);
    let query = format!(
        "response_type=code&client_id=demo-app&redirect_uri=http://localhost:3000/auth/callback&scope=profile\
         &code_challenge_method=S256&state=x&code_challenge={challenge}"
    );
    let callback = Provider::at(&url)
        .consent(&format!("{url}/oauth2?{query}"), "ada")
        .await;
    assert!(
        callback.starts_with("http://localhost:3000/auth/callback?code="),
        "{callback}"
    );
    assert_eq!(Browser::new(&url).get("/oauth2").await.status, 400);
    let stopped = Command::new("kill")
        .args(["-s", "TERM", &child.0.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    let mut status = None;
    wait_until("it ends", SECONDS, || {
        status = child.0.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success());
    let said = fs::read_to_string(&said).unwrap();
    assert!(said.lines().count() == 1 && said.contains(&url), "{said}");
    assert_eq!(fs::read_to_string(&errors).unwrap(), "");
}

/// A process that is killed when the test fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nobody(id: &str) -> u32 {
    let output = Command::new("id").args([id, "nobody"]).output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}
