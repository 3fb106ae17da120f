//! A lean HTTP/1.1 client. One connection, which stays open.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

pub struct Client {
    /// Host and port of the server.
    address: String,
    /// What `Host` and `Origin` say.
    public: String,
    sender: Option<SendRequest<Body>>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
}

impl Answer {
    pub fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION)?.to_str().ok()
    }

    /// The `name=value` pairs of the cookies that it sets.
    pub fn cookies(&self) -> Vec<String> {
        let cookies = self.headers.get_all(header::SET_COOKIE).iter();
        cookies
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .map(str::to_owned)
            .collect()
    }
}

impl Client {
    /// Connects at the first request. `public` is the host and port that people see.
    pub fn new(address: &str, public: &str) -> Self {
        Self {
            address: address.to_owned(),
            public: public.to_owned(),
            sender: None,
        }
    }

    pub async fn get(&mut self, path: &str, cookie: &str) -> Answer {
        self.try_get(path, cookie).await.unwrap()
    }

    pub async fn post(&mut self, path: &str, cookie: &str, form: &str) -> Answer {
        self.try_post(path, cookie, form).await.unwrap()
    }

    /// `None` if the connection breaks.
    pub async fn try_get(&mut self, path: &str, cookie: &str) -> Option<Answer> {
        self.send("GET", path, cookie, Body::empty()).await
    }

    /// `None` if the connection breaks.
    pub async fn try_post(&mut self, path: &str, cookie: &str, form: &str) -> Option<Answer> {
        let form = Body::from(form.to_owned());
        self.send("POST", path, cookie, form).await
    }

    async fn send(&mut self, method: &str, path: &str, cookie: &str, body: Body) -> Option<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.public)
            .header(header::ACCEPT, "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document");
        if method == "POST" {
            request = request
                .header(header::ORIGIN, format!("http://{}", self.public))
                .header(header::CONTENT_TYPE, FORM);
        }
        if !cookie.is_empty() {
            request = request.header(header::COOKIE, cookie);
        }
        let request = request.body(body).unwrap();
        let sending = self.connection().await?.send_request(request);
        let (parts, body) = sending.await.ok()?.into_parts();
        to_bytes(Body::new(body), ANSWER_MAX).await.ok()?;
        Some(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
        })
    }

    async fn connection(&mut self) -> Option<&mut SendRequest<Body>> {
        if let Some(sender) = &mut self.sender
            && sender.ready().await.is_err()
        {
            self.sender = None;
        }
        if self.sender.is_none() {
            let stream = TcpStream::connect(&self.address).await.ok()?;
            stream.set_nodelay(true).ok()?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await.ok()?;
            tokio::spawn(connection);
            self.sender = Some(sender);
        }
        self.sender.as_mut()
    }
}
