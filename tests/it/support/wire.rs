//! A wire between the app and Postgres that counts, and that can be cut.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// Longest wait for the question that is held.
const WITHIN: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(200);

/// Forwards every connection to the database, and counts how often the app asked and had to wait
/// for an answer.
#[derive(Clone)]
pub struct Wire {
    pub url: String,
    round_trips: Arc<AtomicU64>,
    state: watch::Sender<State>,
}

/// The fate of the app's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Whole,
    /// Every connection is cut, and new ones are refused.
    Cut,
    /// The next question reaches the database. Its answer is cut off.
    CutAfterNextQuestion,
    /// The next question reaches the database, and its answer waits until the wire is mended.
    HoldNextAnswer,
    /// The same for the question that prepares a statement with this text, or for the one after it,
    /// which runs the statement.
    HoldStatement {
        text: &'static str,
        runs: bool,
    },
    Holding,
    /// No packet arrives, in either direction, and nothing says so.
    Silent,
    /// Every answer takes this much longer.
    Slow(Duration),
    /// The first question with this text is cut off. Half of it reaches the database.
    CutWithin(&'static str),
    /// The first question with this text reaches the database. Its answer is cut off.
    CutAfter(&'static str),
}

impl Wire {
    pub async fn to(database_url: &str) -> Self {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let database = options.get_database().unwrap();
        let url = format!(
            "postgres://{}@127.0.0.1:{port}/{database}?sslmode=disable",
            options.get_username()
        );
        let wire = Self {
            url,
            round_trips: Arc::default(),
            state: watch::Sender::new(State::Whole),
        };
        let (round_trips, state) = (wire.round_trips.clone(), wire.state.clone());
        tokio::spawn(async move {
            loop {
                let (app, _) = listener.accept().await.unwrap();
                if *state.borrow() == State::Cut {
                    continue;
                }
                let (options, round_trips, state) =
                    (options.clone(), round_trips.clone(), state.clone());
                tokio::spawn(async move {
                    let socket = options
                        .get_socket()
                        .map_or_else(|| options.get_host().into(), Clone::clone);
                    if socket.is_absolute() {
                        let path = socket.join(format!(".s.PGSQL.{}", options.get_port()));
                        forward(
                            app,
                            UnixStream::connect(path).await.unwrap(),
                            &round_trips,
                            state,
                        )
                        .await;
                    } else {
                        let address = (options.get_host().to_owned(), options.get_port());
                        forward(
                            app,
                            TcpStream::connect(address).await.unwrap(),
                            &round_trips,
                            state,
                        )
                        .await;
                    }
                });
            }
        });
        wire
    }

    /// Cuts every connection, and refuses new ones until it is mended.
    pub fn cut(&self) {
        self.state.send_replace(State::Cut);
    }

    /// Lets one more question through, and cuts the wire before its answer.
    pub fn cut_after_next_question(&self) {
        self.state.send_replace(State::CutAfterNextQuestion);
    }

    /// Lets one more question through and keeps its answer back. Other connections are not touched.
    pub fn hold_next_answer(&self) {
        self.state.send_replace(State::HoldNextAnswer);
    }

    /// Keeps the answer back that lets a statement run. A connection prepares each statement once.
    pub fn hold_before(&self, text: &'static str) {
        self.state
            .send_replace(State::HoldStatement { text, runs: false });
    }

    /// Lets a statement run, and keeps its result back.
    pub fn hold_after(&self, text: &'static str) {
        self.state
            .send_replace(State::HoldStatement { text, runs: true });
    }

    /// Waits until an answer is kept back.
    pub async fn holds(&self) {
        let mut state = self.state.subscribe();
        let holding = state.wait_for(|state| *state == State::Holding);
        let holding = tokio::time::timeout(WITHIN, holding).await;
        assert!(holding.is_ok(), "no answer is kept back");
    }

    /// Loses every packet until it is mended. Then they all arrive, as TCP sends them again.
    pub fn lose_packets(&self) {
        self.state.send_replace(State::Silent);
    }

    /// Lets every answer take this much longer.
    pub fn slow_down(&self, by: Duration) {
        self.state.send_replace(State::Slow(by));
    }

    /// Cuts every connection in the middle of the first question with this text.
    pub fn cut_within(&self, text: &'static str) {
        self.state.send_replace(State::CutWithin(text));
    }

    /// Lets the first question with this text through, and cuts the wire before its answer.
    pub fn cut_after(&self, text: &'static str) {
        self.state.send_replace(State::CutAfter(text));
    }

    /// Waits until it has been cut.
    pub async fn is_cut(&self) {
        let mut state = self.state.subscribe();
        let cut = state.wait_for(|state| *state == State::Cut);
        cut.await.unwrap();
    }

    pub fn mend(&self) {
        self.state.send_replace(State::Whole);
    }

    /// Waits until the app has asked nothing for 200 ms. The pool looks at a connection after each
    /// use, behind the answer's back.
    pub async fn quiet(&self) {
        let mut before = None;
        while before != Some(self.round_trips()) {
            before = Some(self.round_trips());
            tokio::time::sleep(QUIET).await;
        }
    }

    /// Round trips so far, on all connections together.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

/// Waits until packets stop. `true` if the wire is cut, `false` if they are lost.
async fn stops(changes: &mut watch::Receiver<State>) -> bool {
    let stopped = |state: &State| matches!(state, State::Cut | State::Silent);
    let state = changes.wait_for(stopped).await;
    state.is_ok_and(|state| *state == State::Cut)
}

/// What happens to the answer of a question.
enum Answer {
    Comes,
    IsHeld,
    IsCutOff,
}

/// Sends a question on, or half of it. `None` if the wire is cut within it.
async fn ask(
    database: &mut (impl AsyncWrite + Unpin),
    question: &[u8],
    prepared: &mut bool,
    state: &watch::Sender<State>,
) -> Option<Answer> {
    let asks = |text: &str| {
        let mut parts = question.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    };
    let within = state.send_if_modified(|state| {
        let within = matches!(*state, State::CutWithin(text) if asks(text));
        *state = if within { State::Cut } else { *state };
        within
    });
    if within {
        let _ = database.write_all(&question[..question.len() / 2]).await;
        return None;
    }
    let _ = database.write_all(question).await;
    let mut held = std::mem::take(prepared);
    let mut cut = false;
    state.send_if_modified(|state| {
        match *state {
            State::CutAfterNextQuestion => cut = true,
            State::CutAfter(text) => cut = asks(text),
            State::HoldNextAnswer => held = true,
            State::HoldStatement { text, runs } if asks(text) => {
                held |= !runs;
                *prepared = runs;
            }
            _ => {}
        }
        match (held, cut) {
            (_, true) => *state = State::Cut,
            (true, _) => *state = State::Holding,
            _ => {}
        }
        held || cut
    });
    Some(match (held, cut) {
        (_, true) => Answer::IsCutOff,
        (true, _) => Answer::IsHeld,
        _ => Answer::Comes,
    })
}

/// Everything that the app sends before the database answers is one question, in any number of
/// packets.
async fn forward(
    mut app: TcpStream,
    mut database: impl AsyncRead + AsyncWrite + Unpin,
    round_trips: &AtomicU64,
    state: watch::Sender<State>,
) {
    let mut changes = state.subscribe();
    let (mut question, mut answer) = (vec![0; 65536], vec![0; 65536]);
    let (mut waiting, mut prepared) = (false, false);
    loop {
        tokio::select! {
            biased;
            cut = stops(&mut changes) => {
                if cut {
                    return;
                }
                drop(changes.wait_for(|state| *state != State::Silent).await);
            }
            read = app.read(&mut question) => match read {
                Ok(length @ 1..) => {
                    round_trips.fetch_add(u64::from(!waiting), Ordering::SeqCst);
                    waiting = true;
                    let asked = ask(&mut database, &question[..length], &mut prepared, &state);
                    match asked.await {
                        Some(Answer::Comes) => {}
                        Some(Answer::IsHeld) => {
                            drop(changes.wait_for(|state| *state == State::Whole).await);
                        }
                        Some(Answer::IsCutOff) => {
                            // Time for the database to commit.
                            tokio::time::sleep(Duration::from_millis(200)).await;
                            return;
                        }
                        None => return,
                    }
                }
                _ => return,
            },
            read = database.read(&mut answer) => match read {
                Ok(length @ 1..) => {
                    waiting = false;
                    let state = *state.borrow();
                    if let State::Slow(by) = state {
                        tokio::time::sleep(by).await;
                    }
                    let _ = app.write_all(&answer[..length]).await;
                }
                _ => return,
            },
        }
    }
}
