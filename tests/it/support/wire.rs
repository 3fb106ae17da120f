//! A wire between the app and Postgres that counts, and that can be cut.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

/// Forwards every connection to the database, and counts how often the app asked and had to wait for an answer.
#[derive(Clone)]
pub struct Wire {
    pub url: String,
    round_trips: Arc<AtomicU64>,
}

impl Wire {
    pub async fn to(database_url: &str) -> Self {
        let options: PgConnectOptions = database_url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let database = options.get_database().unwrap();
        let url = format!("postgres://{}@127.0.0.1:{port}/{database}?sslmode=disable", options.get_username());
        let wire = Self { url, round_trips: Arc::default() };
        let round_trips = wire.round_trips.clone();
        tokio::spawn(async move {
            loop {
                let (app, _) = listener.accept().await.unwrap();
                let (options, round_trips) = (options.clone(), round_trips.clone());
                tokio::spawn(async move {
                    let socket = options.get_socket().map_or_else(|| options.get_host().into(), Clone::clone);
                    if socket.is_absolute() {
                        let path = socket.join(format!(".s.PGSQL.{}", options.get_port()));
                        forward(app, UnixStream::connect(path).await.unwrap(), &round_trips).await;
                    } else {
                        let address = (options.get_host().to_owned(), options.get_port());
                        forward(app, TcpStream::connect(address).await.unwrap(), &round_trips).await;
                    }
                });
            }
        });
        wire
    }

    /// Round trips so far, on all connections together.
    pub fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::SeqCst)
    }
}

/// What the app sends before the database has answered is one question, however many packets it came in.
async fn forward(mut app: TcpStream, mut database: impl AsyncRead + AsyncWrite + Unpin, round_trips: &AtomicU64) {
    let (mut question, mut answer) = (vec![0; 65536], vec![0; 65536]);
    let mut waiting = false;
    loop {
        tokio::select! {
            read = app.read(&mut question) => match read {
                Ok(length @ 1..) => {
                    round_trips.fetch_add(u64::from(!waiting), Ordering::SeqCst);
                    waiting = true;
                    let _ = database.write_all(&question[..length]).await;
                }
                _ => return,
            },
            read = database.read(&mut answer) => match read {
                Ok(length @ 1..) => {
                    waiting = false;
                    let _ = app.write_all(&answer[..length]).await;
                }
                _ => return,
            },
        }
    }
}
