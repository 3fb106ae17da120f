//! Stands before the provider's token endpoint, counts connections, and closes them as servers do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// How long the end of a connection takes to arrive. A request that is sent meanwhile is lost.
const FIN_LATENCY: Duration = Duration::from_millis(100);

/// When a connection is closed after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closes {
    /// After this silence. The app hears of it `FIN_LATENCY` later.
    Idle(Duration),
    /// As soon as a second request comes, which is not answered. The worst case of a server that
    /// closes after each answer without saying so.
    AtSecondRequest,
}

#[derive(Clone)]
pub struct TokenFront {
    pub url: String,
    connections: Arc<AtomicU64>,
    provider: Arc<OnceLock<String>>,
}

impl TokenFront {
    pub async fn spawn(closes: Closes) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            url: format!("http://{}/oauth2/token", listener.local_addr().unwrap()),
            connections: Arc::default(),
            provider: Arc::default(),
        };
        let accepting = front.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                let provider = accepting.provider.get().unwrap().clone();
                tokio::spawn(forward(stream, provider, closes));
            }
        });
        front
    }

    /// Sets the URL of the provider. Call it before the first request.
    pub fn leads_to(&self, provider: &str) {
        let address = provider.strip_prefix("http://").unwrap();
        self.provider.set(address.to_owned()).unwrap();
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn forward(mut app: TcpStream, provider: String, closes: Closes) {
    let mut provider = TcpStream::connect(provider).await.unwrap();
    app.set_nodelay(true).unwrap();
    let mut answered = false;
    loop {
        let request = match closes {
            Closes::Idle(silence) => {
                let Ok(request) = timeout(silence, message(&mut app)).await else {
                    sleep(FIN_LATENCY).await;
                    return;
                };
                request
            }
            Closes::AtSecondRequest => message(&mut app).await,
        };
        let Some(request) = request else {
            return;
        };
        if answered && closes == Closes::AtSecondRequest {
            return;
        }
        provider.write_all(&request).await.unwrap();
        let answer = message(&mut provider).await.unwrap();
        if app.write_all(&answer).await.is_err() {
            return;
        }
        answered = true;
    }
}

/// One HTTP message with a `Content-Length`. `None` at the end of the stream.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        if is_whole(&bytes) {
            return Some(bytes);
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
}
