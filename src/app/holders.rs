//! An example of a page for holders. Change the rule, or add pages with rules of their own.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::page::{Layout, page};
use crate::engine::{Engine, Holds, Requirement, Rule};

/// Requires an NFT of this collection. The demo provider has it.
pub struct PaperOtter;

impl Rule for PaperOtter {
    const REQUIREMENT: Requirement = Requirement::NftOf {
        collection_id: "363603bc-7a57-4e12-8d9e-b5511c5684d8",
        collection: "Paper Otters",
    };
}

#[derive(Template)]
#[template(path = "app/holders.html")]
struct HoldersPage {
    layout: Layout,
    /// The name of the collection.
    collection: &'static str,
}

/// `GET /holders`
pub async fn holders(State(engine): State<Engine>, holder: Holds<PaperOtter>) -> Response {
    page(&HoldersPage {
        layout: Layout::new(&engine, Some(&holder.user)),
        collection: PaperOtter::REQUIREMENT.name(),
    })
}
