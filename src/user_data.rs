//! Reading somebody's data at Matrica: what there is to ask for, and what a failure means for the page.

pub mod cache;
mod load;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, pin_mut};
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::cache::Person;
use crate::{
    app::App,
    matrica::{
        ApiError, Domain, DomainQuery, Nft, NftQuery, Page, Paging, Profile, Role, SocialAccount, TokenBalance,
        TokenQuery, UserApi, Wallets, paging,
    },
    provider::Token,
    vault::{AccessToken, Connection, VaultError},
};

/// The scope that token balances need, as far as anybody outside Matrica knows.
pub const TOKENS_SCOPE: &str = "wallets";

/// Longest that looking through somebody's NFTs may take.
const WALK_BUDGET: Duration = Duration::from_secs(10);

/// Why a part of a page has no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataError {
    /// We have no access any more: signing in again gives it back.
    Reconnect,
    /// The app does not ask for this: the scope is not among `MATRICA_SCOPES`.
    NotAsked,
    /// The person has not shared this.
    NotShared,
    /// The provider does not take the filter or its value.
    Rejected,
    /// Not now: the provider, or another refresh under way.
    Unavailable,
    /// Not now: the database.
    Database,
}

/// Data, and how far it can be trusted.
#[derive(Debug)]
pub struct Loaded<V> {
    pub data: Arc<V>,
    /// How long ago it was asked for.
    pub age: Duration,
    /// There should be something newer, but it could not be had.
    pub stale: bool,
}

impl<V> Loaded<V> {
    /// The data for a decision: nothing stale.
    pub fn current(self) -> Result<Arc<V>, DataError> {
        if self.stale { Err(DataError::Unavailable) } else { Ok(self.data) }
    }
}

/// One person's data for the length of a request. Calls made side by side share one look at the vault.
pub struct Reader<'a> {
    app: &'a App,
    user_id: Uuid,
    person: Arc<Person>,
    access: Access,
}

type Access = Arc<OnceCell<Result<AccessToken, DataError>>>;

/// Everything about a person that is no long list.
pub struct Summary {
    pub connection: Result<Loaded<Connection>, DataError>,
    pub profile: Result<Loaded<Profile>, DataError>,
    pub wallets: Result<Loaded<Wallets>, DataError>,
    pub email: Result<Loaded<Option<String>>, DataError>,
    pub twitter: Result<Loaded<Option<SocialAccount>>, DataError>,
    pub discord: Result<Loaded<Option<SocialAccount>>, DataError>,
    pub telegram: Result<Loaded<Option<SocialAccount>>, DataError>,
    pub roles: Result<Loaded<Vec<Role>>, DataError>,
}

impl<'a> Reader<'a> {
    #[must_use]
    pub fn new(app: &'a App, user_id: Uuid) -> Self {
        Self { app, user_id, person: app.user_data.person(user_id), access: Access::default() }
    }

    /// Everything at the same time; each part stands or falls alone.
    pub async fn summary(&self) -> Summary {
        let (connection, profile, wallets, email, twitter, discord, telegram, roles) = tokio::join!(
            self.connection(),
            self.profile(),
            self.wallets(),
            self.email(),
            self.twitter(),
            self.discord(),
            self.telegram(),
            self.roles(),
        );
        Summary { connection, profile, wallets, email, twitter, discord, telegram, roles }
    }

    /// What they share, as the database knows it. [`DataError::Reconnect`] when there is no connection.
    pub async fn connection(&self) -> Result<Loaded<Connection>, DataError> {
        if let Some(known) = self.fresh(&self.person.connection, &()) {
            return Ok(known);
        }
        let (vault, user_id) = (self.app.vault.clone(), self.user_id);
        let find = async move {
            let connection = vault.connection(user_id).await.map_err(|_| DataError::Database)?;
            connection.ok_or(DataError::Reconnect)
        };
        Box::pin(self.load(|person| &person.connection, (), find)).await
    }

    pub async fn profile(&self) -> Result<Loaded<Profile>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.profile(&token).await };
        self.read("profile", |person| &person.profile, (), call).await
    }

    pub async fn wallets(&self) -> Result<Loaded<Wallets>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.wallets(&token).await };
        self.read("wallets", |person| &person.wallets, (), call).await
    }

    pub async fn email(&self) -> Result<Loaded<Option<String>>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.email(&token).await };
        self.read("email", |person| &person.email, (), call).await
    }

    pub async fn twitter(&self) -> Result<Loaded<Option<SocialAccount>>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.twitter(&token).await };
        self.read("socials.twitter", |person| &person.twitter, (), call).await
    }

    pub async fn discord(&self) -> Result<Loaded<Option<SocialAccount>>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.discord(&token).await };
        self.read("socials.discord", |person| &person.discord, (), call).await
    }

    pub async fn telegram(&self) -> Result<Loaded<Option<SocialAccount>>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.telegram(&token).await };
        self.read("socials.telegram", |person| &person.telegram, (), call).await
    }

    pub async fn roles(&self) -> Result<Loaded<Vec<Role>>, DataError> {
        let call = |api: UserApi, token: Token| async move { api.roles(&token).await };
        self.read("roles", |person| &person.roles, (), call).await
    }

    pub async fn nfts(&self, query: NftQuery) -> Result<Loaded<Page<Nft>>, DataError> {
        let asked = query.clone();
        let call = move |api: UserApi, token: Token| {
            let asked = asked.clone();
            async move {
                let page = api.nfts(&token, &asked).await?;
                // A provider that does not know the filter gives everything: that is no answer to what was asked.
                let odd = |nft: &Nft| asked.collection_id.as_ref().is_some_and(|wanted| !nft.may_be_of(wanted));
                if page.items.iter().any(odd) { Err(ApiError::Rejected) } else { Ok(page) }
            }
        };
        self.read("nfts", |person| &person.nfts, query, call).await
    }

    pub async fn tokens(&self, query: TokenQuery) -> Result<Loaded<Page<TokenBalance>>, DataError> {
        let asked = query.clone();
        let call = move |api: UserApi, token: Token| {
            let asked = asked.clone();
            async move { api.tokens(&token, &asked).await }
        };
        self.read(TOKENS_SCOPE, |person| &person.tokens, query, call).await
    }

    pub async fn domains(&self, query: DomainQuery) -> Result<Loaded<Page<Domain>>, DataError> {
        let asked = query.clone();
        let call = move |api: UserApi, token: Token| {
            let asked = asked.clone();
            async move { api.domains(&token, &asked).await }
        };
        self.read("domains", |person| &person.domains, query, call).await
    }

    /// Whether one of their NFTs belongs to this collection, by Matrica's id of it. [`DataError::Unavailable`] also when not
    /// all of them could be looked at.
    pub async fn holds_nft_of(&self, collection_id: &str) -> Result<Loaded<bool>, DataError> {
        let wanted = collection_id.to_owned();
        let call = move |api: UserApi, token: Token| {
            let wanted = wanted.clone();
            async move {
                let walk = tokio::time::timeout(WALK_BUDGET, find_nft_of(&api, &token, &wanted)).await;
                walk.unwrap_or(Err(ApiError::Unavailable))
            }
        };
        self.read("nfts", |person| &person.holdings, collection_id.to_owned(), call).await
    }
}

/// The provider is asked for NFTs of the collection, and each answer is looked at: a provider that does not know the filter
/// must open no door. It closes none either: "no" takes the whole list, readable to the last entry.
async fn find_nft_of(api: &UserApi, token: &Token, collection_id: &str) -> Result<bool, ApiError> {
    let filter = NftQuery::of_collection(collection_id.to_owned());
    let first = filter.paging.clone();
    let call = |paging: Paging| {
        let query = NftQuery { paging, ..filter.clone() };
        async move { api.nfts(token, &query).await }
    };
    let pages = paging::pages(first, call);
    pin_mut!(pages);
    let (mut seen, mut complete) = (HashSet::new(), true);
    while let Some(page) = pages.next().await {
        let page = page.map_err(ApiError::unprovoked)?;
        if page.items.iter().any(|nft| nft.is_of(collection_id)) {
            return Ok(true);
        }
        // A provider that knows no paging gives the same items again, and the others never.
        let new = page.items.into_iter().map(|nft| seen.insert(nft.id)).collect::<Vec<_>>();
        complete &= page.complete && (new.is_empty() || new.contains(&true));
    }
    if complete { Ok(false) } else { Err(ApiError::Unreadable(200)) }
}

impl From<VaultError> for DataError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoGrant | VaultError::Expired | VaultError::Unopenable(_) => Self::Reconnect,
            VaultError::Unavailable => Self::Unavailable,
            VaultError::Database(_) => Self::Database,
        }
    }
}

impl From<ApiError> for DataError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::Forbidden => Self::NotShared,
            ApiError::Rejected => Self::Rejected,
            // Whether a grant has ended, only a refresh can say.
            ApiError::Unauthorized
            | ApiError::Unavailable
            | ApiError::Unreadable(_)
            | ApiError::NoUserId
            | ApiError::Endless => {
                tracing::warn!(event = "user_api_failed", %error, "the user API gave nothing");
                Self::Unavailable
            }
        }
    }
}
