//! An example of a page for holders. Change the rule, or add pages with gates of their own.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::page::{Layout, page};
use super::words::gate::condition;
use crate::engine::{Engine, Gate, Holds, Rule};

/// Requires an NFT of a collection that the demo provider has. A rule of this name in `GATES_FILE`
/// replaces it.
pub struct Holders;

impl Gate for Holders {
    const NAME: &'static str = "paper-otters";

    fn rule() -> Rule {
        Rule::Nfts {
            collection: "363603bc-7a57-4e12-8d9e-b5511c5684d8".to_owned(),
            name: "Paper Otters".to_owned(),
            at_least: 1,
        }
    }
}

#[derive(Template)]
#[template(path = "app/holders.html")]
struct HoldersPage {
    layout: Layout,
    /// The rule, as the end of a sentence.
    condition: String,
}

/// `GET /holders`
pub async fn holders(State(engine): State<Engine>, holder: Holds<Holders>) -> Response {
    page(&HoldersPage {
        layout: Layout::new(&engine, Some(&holder.user)).at("/holders"),
        condition: condition(&holder.rule),
    })
}
