//! A server of TLS in front of the provider, whose certificate or handshake may be wrong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// How the server answers a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    Good,
    SelfSigned,
    UnknownAuthority,
    /// As after a DNS answer that was forged.
    AnotherHost,
    Expired,
    NotYetValid,
    /// The alert of a server that speaks TLS 1.1 at most.
    OldVersion,
    /// An answer in clear.
    Plain,
    /// Nothing at all.
    Silence,
}

#[derive(Clone)]
pub struct TlsFront {
    pub url: String,
    authority: PathBuf,
    shows: watch::Sender<Shows>,
    connections: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
}

impl TlsFront {
    /// The certificate of the authority is written to `folder`.
    pub async fn spawn(folder: &Path, provider: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            url: format!("https://{}", listener.local_addr().unwrap()),
            authority: folder.join("authority.pem"),
            shows: watch::Sender::new(Shows::Good),
            connections: Arc::default(),
            requests: Arc::default(),
        };
        let authority = Authority::new();
        std::fs::write(&front.authority, &authority.pem).unwrap();
        let provider = provider.strip_prefix("http://").unwrap().to_owned();
        let accepting = front.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                let shows = *accepting.shows.borrow();
                let config = authority.config(shows);
                let serving = serve(
                    stream,
                    shows,
                    config,
                    provider.clone(),
                    accepting.requests.clone(),
                );
                tokio::spawn(serving);
            }
        });
        front
    }

    pub fn show(&self, shows: Shows) {
        self.shows.send_replace(shows);
    }

    /// Leads the calls of the server here.
    pub fn change(&self, settings: &mut BTreeMap<String, String>) {
        lead(settings, &self.url, &self.authority);
    }

    /// Connections, and those of them that sent a byte of HTTP, whether encrypted or not.
    pub fn seen(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (load(&self.connections), load(&self.requests))
    }
}

/// Leads the calls of the server to this URL, whose certificate the authority in the file has signed.
/// The browser goes to the provider itself.
pub fn lead(settings: &mut BTreeMap<String, String>, url: &str, authority: &Path) {
    for (name, value) in [
        ("MATRICA_TOKEN_ENDPOINT", format!("{url}/oauth2/token")),
        (
            "MATRICA_REVOCATION_ENDPOINT",
            format!("{url}/oauth2/token/revoke"),
        ),
        ("MATRICA_USER_API", format!("{url}/oauth2/v2/user")),
        ("MATRICA_USER_API_V1", format!("{url}/oauth2/user")),
        ("SSL_CERT_FILE", authority.display().to_string()),
    ] {
        settings.insert(name.to_owned(), value);
    }
}

async fn serve(
    mut stream: TcpStream,
    shows: Shows,
    config: ServerConfig,
    provider: String,
    requests: Arc<AtomicU64>,
) {
    let mut hello = [0; 4096];
    let alert: &[u8] = match shows {
        // Fatal, `protocol_version` (RFC 4346 section 7.2).
        Shows::OldVersion => b"\x15\x03\x02\x00\x02\x02\x46",
        Shows::Plain => b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
        Shows::Silence => b"",
        _ => {
            let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else {
                return;
            };
            let Ok(length @ 1..) = stream.read(&mut hello).await else {
                return;
            };
            requests.fetch_add(1, Ordering::SeqCst);
            let mut provider = TcpStream::connect(provider).await.unwrap();
            provider.write_all(&hello[..length]).await.unwrap();
            let _ = copy_bidirectional(&mut stream, &mut provider).await;
            return;
        }
    };
    // Everything that comes is read, so that a request in clear would be seen.
    let mut answered = false;
    while let Ok(length @ 1..) = stream.read(&mut hello).await {
        let text = String::from_utf8_lossy(&hello[..length]);
        requests.fetch_add(u64::from(text.contains("HTTP/1.")), Ordering::SeqCst);
        if !answered && stream.write_all(alert).await.is_err() {
            return;
        }
        answered = true;
    }
}

/// A certificate authority that a client may trust, and another one.
struct Authority {
    pem: String,
    trusted: Issuer<'static, KeyPair>,
    unknown: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let issuer = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, name);
            let pem = params.self_signed(&key).unwrap().pem();
            (pem, Issuer::new(params, key))
        };
        let (pem, trusted) = issuer("trusted");
        let (_, unknown) = issuer("unknown");
        Self {
            pem,
            trusted,
            unknown,
        }
    }

    fn config(&self, shows: Shows) -> ServerConfig {
        let host = match shows {
            Shows::AnotherHost => "127.0.0.2",
            _ => "127.0.0.1",
        };
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        match shows {
            Shows::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Shows::NotYetValid => params.not_before = date_time_ymd(2100, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match shows {
            Shows::SelfSigned => params.self_signed(&key),
            Shows::UnknownAuthority => params.signed_by(&key, &self.unknown),
            _ => params.signed_by(&key, &self.trusted),
        };
        let certificate = certificate.unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        config.with_single_cert(vec![certificate], key).unwrap()
    }
}
