//! The private server starts fast, keeps to itself, and never outlives its owner.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use matrica_starter::dev::postgres::{Durability, PrivatePostgres, StartError};
use sqlx::{Connection, PgConnection};

const GONE_WITHIN: Duration = Duration::from_secs(5);
const HOLD_IN: &str = "TEST_HOLDS_POSTGRES_IN";

/// A new place for one test, removed with it. In /tmp, which the server's user may enter wherever
/// the repository is.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        Self(
            Path::new("/tmp")
                .join(format!("matrica-starter-{}", process::id()))
                .join(name),
        )
    }

    fn start(&self) -> PrivatePostgres {
        PrivatePostgres::start(&self.0, Durability::Keep).unwrap()
    }

    /// A process that runs a server here until it is killed, once it has said where the data is.
    fn start_in_a_process_of_its_own(&self, variables: &[(&str, &str)]) -> (Child, PathBuf) {
        let mut owner = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "dev::private_postgres::a_server_answers_until_it_is_dropped",
                "--nocapture",
            ])
            .env(HOLD_IN, &self.0)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(owner.stdout.take().unwrap());
        let directory = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("ready in ")?.1.into()));
        (owner, directory.expect("the server starts"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
        // The last test of this process takes the common folder with it.
        let _ = self.0.parent().map(fs::remove_dir);
    }
}

/// Other tests run this one in a process of its own, and kill that while it holds the server.
#[test]
fn a_server_answers_until_it_is_dropped() {
    let held = env::var_os(HOLD_IN);
    let place = Place::new("answers");
    let folder = held.as_ref().map_or(place.0.as_path(), Path::new);
    let server = PrivatePostgres::start(folder, Durability::Keep).unwrap();
    assert_eq!(run(&server, "select 1::bigint"), 1);
    if held.is_some() {
        println!("ready in {}", server.directory().display());
        thread::sleep(Duration::from_mins(1));
    }
    let postmaster = postmaster(server.directory());
    drop(server);
    assert!(!is_alive(&postmaster));
}

fn postmaster(directory: &Path) -> String {
    fs::read_to_string(directory.join("postmaster.pid"))
        .unwrap()
        .lines()
        .next()
        .unwrap()
        .to_owned()
}

fn is_alive(process: &str) -> bool {
    Command::new("kill")
        .args(["-0", process])
        .stderr(Stdio::null())
        .status()
        .unwrap()
        .success()
}

#[tokio::main(flavor = "current_thread")]
async fn run(server: &PrivatePostgres, statement: &'static str) -> i64 {
    let mut connection = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    sqlx::query_scalar(statement)
        .fetch_optional(&mut connection)
        .await
        .unwrap()
        .unwrap_or_default()
}

#[test]
fn data_is_still_there_after_a_restart() {
    let place = Place::new("kept, with 'odd' \"name\" %41");
    let cold = Instant::now();
    let server = place.start();
    println!("cold start: {:?}", cold.elapsed());
    run(&server, "create table kept as select 42::bigint as answer");
    let postmaster = postmaster(server.directory());
    drop(server);
    assert!(!is_alive(&postmaster), "dropping waits for the end");

    let warm = Instant::now();
    let server = place.start();
    println!("warm start: {:?}", warm.elapsed());
    assert_eq!(run(&server, "select answer from kept"), 42);
}

#[test]
fn a_second_start_in_one_place_is_refused_while_the_first_runs() {
    let place = Place::new("twice");
    let first = place.start();
    let second = PrivatePostgres::start(&place.0, Durability::Keep).unwrap_err();
    assert!(
        matches!(second.downcast_ref(), Some(StartError::AlreadyRunning(_))),
        "{second:#}"
    );
    drop(first);
    place.start();
}

#[test]
fn a_second_test_run_waits_for_the_first() {
    let place = Place::new("waits");
    let first = PrivatePostgres::start(&place.0, Durability::Throwaway).unwrap();
    thread::scope(|scope| {
        let second =
            scope.spawn(|| PrivatePostgres::start(&place.0, Durability::Throwaway).unwrap());
        thread::sleep(Duration::from_millis(300));
        assert!(!second.is_finished());
        drop(first);
        assert_eq!(run(&second.join().unwrap(), "select 1::bigint"), 1);
    });
}

#[test]
fn the_server_ends_when_its_owner_is_killed() {
    let place = Place::new("killed");
    let (mut owner, directory) = place.start_in_a_process_of_its_own(&[]);
    let postmaster = postmaster(&directory);
    assert!(is_alive(&postmaster));
    owner.kill().unwrap();
    owner.wait().unwrap();

    let deadline = Instant::now() + GONE_WITHIN;
    while is_alive(&postmaster) {
        assert!(
            Instant::now() < deadline,
            "process {postmaster} is still there"
        );
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_start_right_after_the_owner_was_killed_succeeds() {
    let place = Place::new("killed-restart");
    let (mut owner, _) = place.start_in_a_process_of_its_own(&[]);
    owner.kill().unwrap();
    owner.wait().unwrap();
    place.start();
}

#[test]
fn a_start_after_everything_was_killed_succeeds() {
    let place = Place::new("crashed");
    let server = place.start();
    run(&server, "create table kept as select 42::bigint as answer");
    let killed = Command::new("kill")
        .args(["-KILL", &postmaster(server.directory())])
        .status()
        .unwrap();
    assert!(killed.success());
    let left = server.directory().join("postmaster.pid");
    drop(server);
    // The process id of the crashed server now belongs to a process that lives on: this one.
    let text = fs::read_to_string(&left).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(&left, format!("{}\n{rest}", process::id())).unwrap();
    assert_eq!(run(&place.start(), "select answer from kept"), 42);
}

#[test]
fn variables_meant_for_other_servers_are_ignored() {
    let place = Place::new("variables");
    let foreign = [
        ("PGDATA", "/nowhere"),
        ("PGHOST", "localhost"),
        ("PGPORT", "1"),
        ("PGUSER", "nobody"),
        ("PGSSLMODE", "verify-full"),
        ("PGCLIENTENCODING", "nonsense"),
    ];
    // It connects before it says that it is ready.
    let (mut owner, directory) = place.start_in_a_process_of_its_own(&foreign);
    assert!(directory.join(".s.PGSQL.5432").exists());
    owner.kill().unwrap();
    owner.wait().unwrap();
}

#[test]
fn a_place_with_too_long_a_path_for_a_socket_is_replaced_by_one_below_var_tmp() {
    let place = Place::new(&"long".repeat(30));
    let server = place.start();
    let replacement = server.directory().parent().unwrap().to_path_buf();
    assert!(
        replacement.starts_with("/var/tmp"),
        "{}",
        replacement.display()
    );
    assert_eq!(run(&server, "select 1::bigint"), 1);
    drop(server);
    fs::remove_dir_all(replacement).unwrap();
}
