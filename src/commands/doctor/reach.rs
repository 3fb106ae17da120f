//! Whether the hosts of the endpoints can be reached: DNS, TCP, TLS and clock.

use std::time::Duration;

use reqwest::{Client, Response};
use time::OffsetDateTime;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use url::Url;

use super::report::Finding;
use crate::engine::clock;
use crate::engine::oauth::transport;

/// Longest wait for the resolver.
const DNS_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a connection, over all addresses of a host.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the answer to one request, TLS included.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(8);
/// A larger difference of the clocks is a failure. Codes live for a minute, and a certificate that is
/// new is not valid yet for a clock that is behind.
const CLOCK_SKEW_MAX: f64 = 30.0;

/// Scheme, host and port, with the variables that lead there.
pub struct Host {
    pub origin: Url,
    pub names: Vec<&'static str>,
}

impl Host {
    /// The hosts of the endpoints, each once.
    pub fn of(endpoints: &[(&'static str, Url)]) -> Vec<Self> {
        let mut hosts: Vec<Self> = Vec::new();
        for (name, url) in endpoints {
            match hosts.iter_mut().find(|host| host.leads_to(url)) {
                Some(host) => host.names.push(name),
                None => hosts.extend(url.join("/").ok().map(|origin| Self {
                    origin,
                    names: vec![name],
                })),
            }
        }
        hosts
    }

    pub fn leads_to(&self, url: &Url) -> bool {
        self.origin.origin() == url.origin()
    }

    fn name(&self) -> &str {
        self.origin.host_str().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.origin.port_or_known_default().unwrap_or_default()
    }

    /// The findings in order. Those after a failed one are skipped.
    pub async fn check(&self, client: &Client) -> Vec<Finding> {
        let (name, port) = (self.name(), self.port());
        let secure = self.origin.scheme() == "https";
        let checks = [
            format!("DNS of {name}"),
            format!("TCP to {name}:{port}"),
            format!("{} of {name}:{port}", if secure { "TLS" } else { "HTTP" }),
            format!("clock of {name}:{port}"),
        ];
        let [dns, tcp, http, clock] = &checks;
        let mut findings = Vec::new();
        match self.connect(dns, tcp, &mut findings).await {
            Ok(()) => {
                let (sent, response) = (clock::now(), self.ask(client).await);
                match self.judge(http, response) {
                    Ok((found, response)) => {
                        findings.push(found);
                        findings.push(judge_date(clock, &response, sent, clock::now()));
                    }
                    Err(found) => findings.push(found),
                }
            }
            Err(found) => findings.push(found),
        }
        let failed = checks.get(findings.len().saturating_sub(1));
        let failed = failed.cloned().unwrap_or_default();
        for check in checks.iter().skip(findings.len()) {
            findings.push(Finding::skipped(check, &failed));
        }
        findings
    }

    async fn connect(
        &self,
        dns: &str,
        tcp: &str,
        findings: &mut Vec<Finding>,
    ) -> Result<(), Finding> {
        let names = self.names.join(", ");
        let host = self.name().trim_matches(['[', ']']).to_owned();
        let found = timeout(DNS_TIMEOUT, lookup_host((host, self.port()))).await;
        let addresses = match found {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        };
        let Some(first) = addresses.first() else {
            return Err(Finding::wrong(
                dns,
                "the name has no address, or the resolver does not answer",
                format!(
                    "Compare {names} with the documentation, and check the DNS of this machine."
                ),
            ));
        };
        findings.push(Finding::right(dns, first.ip().to_string()));
        match timeout(TCP_TIMEOUT, TcpStream::connect(&*addresses)).await {
            Ok(Ok(_)) => {
                findings.push(Finding::right(tcp, format!("connects, for {names}")));
                Ok(())
            }
            Ok(Err(error)) => Err(Finding::wrong(
                tcp,
                format!("no connection: {}", error.kind()),
                format!("Compare host and port of {names}, and look for a firewall in between."),
            )),
            Err(_) => Err(Finding::wrong(
                tcp,
                format!("no connection within {} s", TCP_TIMEOUT.as_secs()),
                format!("Let this machine connect to the host of {names} through the firewall."),
            )),
        }
    }

    /// Asks for the front page of the host, whatever it answers.
    async fn ask(&self, client: &Client) -> reqwest::Result<Response> {
        let request = client.head(self.origin.clone());
        request.timeout(ANSWER_TIMEOUT).send().await
    }

    fn judge(
        &self,
        check: &str,
        response: reqwest::Result<Response>,
    ) -> Result<(Finding, Response), Finding> {
        let names = self.names.join(", ");
        match response {
            Ok(response) => Ok((Finding::right(check, "answers"), response)),
            Err(error) => Err(match transport::tls_failure(&error) {
                Some(reason) => Finding::wrong(
                    check,
                    reason,
                    format!(
                        "Compare the host of {names}. Check the clock of this machine, its certificate \
                         authorities (package ca-certificates, SSL_CERT_FILE), and whether a proxy in \
                         between opens TLS."
                    ),
                ),
                None => Finding::wrong(
                    check,
                    "no HTTP answer",
                    format!("Compare scheme, host and port of {names}."),
                ),
            }),
        }
    }
}

/// `Date` has whole seconds, and was written between `sent` and `received`.
fn judge_date(
    check: &str,
    response: &Response,
    sent: OffsetDateTime,
    received: OffsetDateTime,
) -> Finding {
    let date = response.headers().get(reqwest::header::DATE);
    let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let Some(date) = date.map(OffsetDateTime::from) else {
        return Finding::unknown(check, "the answer has no Date, so nothing was compared", "");
    };
    let half_second = time::Duration::milliseconds(500);
    let middle = sent + (received - sent) / 2;
    judge_skew(check, date + half_second - middle)
}

/// `ahead` says how far the other clock is ahead of ours.
pub fn judge_skew(check: &str, ahead: time::Duration) -> Finding {
    let seconds = ahead.as_seconds_f64();
    let detail = match seconds.abs() {
        difference if difference <= 1.0 => "agrees with ours".to_owned(),
        _ if seconds > 0.0 => format!("{seconds:.0} s ahead of ours"),
        _ => format!("{:.0} s behind ours", -seconds),
    };
    if seconds.abs() <= CLOCK_SKEW_MAX {
        return Finding::right(check, detail);
    }
    Finding::wrong(
        check,
        detail,
        "Run a time service (NTP) on this machine, and on the other one if it is yours.",
    )
}
