//! Three server processes behind haproxy, with one database and one provider.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Browser, Process, Provider, TestDatabase,
    haproxy::Haproxy,
    overridden,
    process::{self, free_port},
    settings,
};

pub const SERVERS: usize = 3;

pub struct Fleet {
    pub url: String,
    pub provider: Provider,
    pub servers: Vec<Process>,
    settings: BTreeMap<String, String>,
    _database: Arc<TestDatabase>,
    _proxy: Haproxy,
}

impl Fleet {
    /// `inter` is the time between two health checks.
    pub async fn start(overrides: &[(&str, &str)], inter: &str) -> Self {
        Self::start_program(process::BINARY, overrides, inter).await
    }

    /// The same with another build of the server. Each restart replaces it by this one.
    pub async fn start_program(program: &str, overrides: &[(&str, &str)], inter: &str) -> Self {
        let port = free_port();
        let url = format!("http://localhost:{port}");
        let provider = Provider::spawn(&[format!("{url}/auth/callback")]).await;
        let database = Arc::new(TestDatabase::create().await);
        let mut settings = overridden(settings(&url, &provider.url, &database.url), overrides);
        settings.insert("TRUSTED_PROXY_HOPS".to_owned(), "1".to_owned());
        let mut servers = Vec::new();
        for _ in 0..SERVERS {
            servers.push(Process::start_program(program, &settings).await);
        }
        let addresses: Vec<_> = servers
            .iter()
            .map(|server| server.address.clone())
            .collect();
        Self {
            _proxy: Haproxy::people(port, &addresses, inter).await,
            url,
            provider,
            servers,
            settings,
            _database: database,
        }
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.url)
    }

    /// Starts a server again that has ended, at the same address. Returns the old one.
    pub async fn restart(&mut self, number: usize) -> Process {
        let mut settings = self.settings.clone();
        let address = self.servers[number].address.clone();
        settings.insert("LISTEN_ADDR".to_owned(), address);
        let started = Process::start_with_jobs(&settings).await;
        std::mem::replace(&mut self.servers[number], started)
    }
}
