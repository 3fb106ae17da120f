//! `doctor --provider`: finds out how the provider behaves where its documentation is silent.
//!
//! docs/first-contact.md has the assumptions, by the same numbers.

mod endings;
mod profile;
mod received;
mod visits;
mod walk;

use anyhow::Context as _;
use serde::Serialize;

use self::visits::Visits;
use self::walk::Walk;
use crate::commands::block_on;
use crate::engine::config::Config;
use crate::engine::oauth::OAuthClient;
use crate::engine::oauth::calls::ProviderCalls;
use crate::engine::oauth::transport::Tls;

/// What one question has shown. Holds no secret and nothing about the person.
#[derive(Debug, Serialize)]
pub struct Reply {
    /// The number of the assumption in docs/first-contact.md.
    pub assumption: u8,
    pub question: &'static str,
    pub answer: String,
    /// Whether the assumption holds. `None` if the question could not be asked.
    pub confirmed: Option<bool>,
}

pub fn first_contact(config: &Config, json: bool) -> anyhow::Result<()> {
    block_on(async {
        let tls = Tls::new().context("no certificate authorities are installed")?;
        let redirect_uri = config.redirect_uri();
        let oauth = OAuthClient::new(
            config.matrica.clone().into(),
            redirect_uri.clone(),
            &tls,
            &ProviderCalls::unseen(),
        )?;
        let visits = Visits::listen(config.listen_addr, &redirect_uri).await?;
        let mut walk = Walk::new(&config.matrica, &oauth, visits, &tls)?;
        let walked = walk.walk().await;
        // Also those before a failure.
        print(&walk.answers, json)?;
        walked
    })
}

fn print(answers: &[Reply], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(answers)?);
        return Ok(());
    }
    for answer in answers {
        let Reply {
            assumption,
            question,
            answer,
            confirmed,
        } = answer;
        let verdict = match confirmed {
            Some(true) => "confirms",
            Some(false) => "contradicts",
            None => "does not settle",
        };
        println!("{question}\n    {answer} This {verdict} assumption {assumption}.");
    }
    println!("docs/first-contact.md says what each assumption is, and what follows from it.");
    Ok(())
}
