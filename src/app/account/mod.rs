//! The account pages, one per kind of data.
//!
//! Each page reads with `reader`, and shows or excuses each section alone.

mod amount;
pub mod balances;
pub mod domains;
mod filters;
pub mod frame;
mod list;
pub mod nft;
pub mod nfts;
pub mod overview;
mod places;
pub mod view;
pub mod wallets;

use std::time::Duration;

use crate::engine::{CurrentUser, Engine, Reader};

/// How long a part of a page waits for Matrica. Half a page for longer would look broken.
const PART_WAIT: Duration = Duration::from_millis(2_500);

/// Reads the data of the person for a page.
fn reader<'a>(engine: &'a Engine, user: &CurrentUser) -> Reader<'a> {
    engine.reader(user.user_id).within(PART_WAIT)
}
