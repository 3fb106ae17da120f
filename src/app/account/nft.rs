//! The page of one NFT.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use url::form_urlencoded;

use super::frame::{self, Frame};
use super::list::address;
use super::nfts::{Card, LIST};
use super::places::Address;
use super::view::Section;
use crate::app::page::{Layout, page_in_parts, page_with_login};
use crate::app::parameters::Filter;
use crate::engine::matrica::{Nft, NftQuery, Paging};
use crate::engine::{CurrentUser, Engine, Failure};

/// The title of the window.
const TITLE: &str = "Your NFT";
/// The status of an NFT that simply is in a wallet.
const HELD: &str = "HODLED";

#[derive(Template)]
#[template(path = "app/account/nft.html")]
struct NftPage {
    layout: Layout,
    frame: Frame,
    /// The path of this page, for the forms that lead back to it.
    here: String,
    section: Section<Option<NftFacts>>,
}

/// An NFT with everything that is known of it.
struct NftFacts {
    card: Card,
    /// The path of the gallery of its collection.
    collection_href: Option<String>,
    id: Address,
    owner: Option<Address>,
    status: Option<String>,
    compressed: bool,
    inscription: Option<i64>,
}

/// The path of the page of an NFT.
pub fn path(id: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("{}/{id}", LIST.path)
}

/// `GET /account/nfts/{id}`
pub async fn nft(
    State(engine): State<Engine>,
    user: CurrentUser,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let Ok(Filter(Some(id))) = Filter::try_from(id) else {
        return Err(Failure::NotFound);
    };
    let query = NftQuery {
        nft_id: Some(id.clone()),
        collection_id: None,
        network: None,
        paging: Paging::first(1),
    };
    let layout = Layout::new(&engine, Some(&user));
    let page = page_in_parts(layout.clone(), TITLE, async move {
        let (cached, frame) = frame::read(&engine, &user, query, LIST.path).await;
        let section = Section::new(cached, "NFT", |page| page.items.first().map(NftFacts::new));
        let is_unknown = matches!(section, Section::Ready(None, _));
        let asks_to_sign_in = section.asks_to_sign_in();
        let here = path(&id);
        let page = NftPage {
            layout,
            frame,
            here,
            section,
        };
        let mut response = page_with_login(&page, asks_to_sign_in);
        if is_unknown {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        response
    });
    Ok(page.await)
}

impl NftFacts {
    fn new(nft: &Nft) -> Self {
        let network = nft.network.as_deref();
        let collection = nft.collection.as_ref();
        Self {
            card: Card::new(nft),
            collection_href: collection
                .map(|collection| address(LIST.path, &[("collection", Some(&collection.id))], 1)),
            id: Address::of_nft(network, &nft.id),
            owner: nft
                .owner
                .as_deref()
                .map(|owner| Address::on(network, owner)),
            status: nft.status.clone().filter(|status| status != HELD),
            compressed: nft.is_compressed,
            inscription: nft.inscription_number,
        }
    }
}
