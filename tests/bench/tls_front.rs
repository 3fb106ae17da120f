//! TLS in front of the provider, over a line with a given round trip time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const BUFFER: usize = 64 * 1024;

pub struct TlsFront {
    url: String,
    authority: PathBuf,
}

impl TlsFront {
    pub async fn start(folder: &Path, provider: &str, round_trip: Duration) -> Self {
        let authority = folder.join("authority.pem");
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&authority)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let provider = provider.strip_prefix("http://").unwrap().to_owned();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let (acceptor, provider) = (acceptor.clone(), provider.clone());
                tokio::spawn(async move {
                    // The handshake of TCP.
                    sleep(round_trip).await;
                    let stream = delayed(stream, round_trip / 2);
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut provider = TcpStream::connect(provider).await.unwrap();
                    provider.set_nodelay(true).unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut provider).await;
                });
            }
        });
        Self { url, authority }
    }

    /// Leads the calls of the server here.
    pub fn change(&self, settings: &mut BTreeMap<String, String>) {
        crate::support::tls_front::lead(settings, &self.url, &self.authority);
    }
}

/// A certificate for 127.0.0.1. Its authority is written to a file.
fn server_config(authority: &Path) -> ServerConfig {
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = params.self_signed(&authority_key).unwrap();
    fs::write(authority, authority_certificate.pem()).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

/// The other end of a line that delays bytes in both directions.
fn delayed(stream: TcpStream, delay: Duration) -> DuplexStream {
    let (near, far) = tokio::io::duplex(BUFFER);
    let (from_app, to_app) = stream.into_split();
    let (from_provider, to_provider) = tokio::io::split(far);
    tokio::spawn(carry(from_app, to_provider, delay));
    tokio::spawn(carry(from_provider, to_app, delay));
    near
}

async fn carry(
    mut from: impl AsyncRead + Unpin + Send + 'static,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) {
    let (sender, mut under_way) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        let mut buffer = vec![0; BUFFER];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let chunk = buffer[..count].to_vec();
            if sender.send((Instant::now() + delay, chunk)).is_err() {
                return;
            }
        }
    });
    while let Some((due, chunk)) = under_way.recv().await {
        sleep_until(due).await;
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}
