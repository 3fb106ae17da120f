//! An example of a page for holders: change the rule, or write more of them.

use askama::Template;
use axum::{extract::State, response::Response};

use super::page::{Layout, page};
use crate::{
    app::App,
    holds::{Holds, Requirement, Rule},
};

/// Owns an NFT of this collection, which is one of the demo provider's.
pub struct PaperOtter;

impl Rule for PaperOtter {
    const REQUIREMENT: Requirement =
        Requirement::NftOf { collection_id: "363603bc-7a57-4e12-8d9e-b5511c5684d8", collection: "Paper Otters" };
}

#[derive(Template)]
#[template(path = "holders.html")]
struct HoldersPage {
    layout: Layout,
}

/// `GET /holders`
pub async fn holders(State(app): State<App>, holder: Holds<PaperOtter>) -> Response {
    page(&HoldersPage { layout: Layout::new(&app, Some(&holder.user)) })
}
