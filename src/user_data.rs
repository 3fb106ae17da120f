//! Reading somebody's data at Matrica: from memory while it is fresh; otherwise with a live token, one refresh and one more
//! try if it is refused, and what a failure means for the page.

pub mod cache;

use std::{
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, pin_mut};
use serde::Serialize;
use tokio::sync::OnceCell;
use uuid::Uuid;

use self::cache::{Ages, Answer, Answers, Person};
use crate::{
    app::App,
    matrica::{
        ApiError, Domain, DomainQuery, Nft, NftQuery, Page, Paging, Profile, Role, SocialAccount, TokenBalance,
        TokenQuery, UserApi, Wallets, paging,
    },
    provider::Token,
    vault::{AccessToken, Connection, VaultError},
};

/// Longest wait for data. Whatever is under way goes on without the one who waits, within its own bounds.
const WAIT: Duration = Duration::from_secs(12);

/// The scope that token balances need, as far as anybody outside Matrica knows.
pub const TOKENS_SCOPE: &str = "wallets";

/// Why a part of a page has no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataError {
    /// We have no access any more: signing in again gives it back.
    Reconnect,
    /// The person has not shared this.
    NotShared,
    /// The provider does not take the filter or its value.
    Rejected,
    /// Not now: the provider, the database, or another refresh under way.
    Unavailable,
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
            let connection = vault.connection(user_id).await.map_err(|_| DataError::Unavailable)?;
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
            async move { api.nfts(&token, &asked).await }
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

    /// Whether one of their NFTs belongs to this collection, by Matrica's id of it. The provider is asked for NFTs of the
    /// collection, and each answer is looked at: a provider that does not know the filter must open no door.
    pub async fn holds_nft_of(&self, collection_id: &str) -> Result<Loaded<bool>, DataError> {
        let wanted = collection_id.to_owned();
        let call = move |api: UserApi, token: Token| {
            let wanted = wanted.clone();
            async move {
                let filter = NftQuery::of_collection(wanted.clone());
                let first = filter.paging.clone();
                let call = |paging: Paging| {
                    let (api, token, query) = (&api, &token, NftQuery { paging, ..filter.clone() });
                    async move { api.nfts(token, &query).await }
                };
                let nfts = paging::items(first, call);
                pin_mut!(nfts);
                while let Some(nft) = nfts.next().await {
                    if nft?.collection.is_some_and(|collection| collection.id == wanted) {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        };
        self.read("nfts", |person| &person.holdings, collection_id.to_owned(), call).await
    }

    /// An answer of the user API: 401 costs one refresh and one more call, never a loop; 403 is about the scope alone.
    async fn read<Q, V, F>(
        &self,
        scope: &'static str,
        answers: fn(&Person) -> &Answers<Q, V>,
        query: Q,
        call: impl Fn(UserApi, Token) -> F + Send + Sync + 'static,
    ) -> Result<Loaded<V>, DataError>
    where
        Q: Clone + Eq + Hash + Send + 'static,
        V: Serialize + Send + Sync + 'static,
        F: Future<Output = Result<V, ApiError>> + Send,
    {
        if let Some(known) = self.fresh(answers(&self.person), &query) {
            return Ok(known);
        }
        if !self.may_be_shared(scope) {
            return Err(DataError::NotShared);
        }
        let (app, user_id, access) = (self.app.clone(), self.user_id, self.access.clone());
        let find = async move {
            let token = async { Ok(app.vault.access_token(user_id).await?) };
            let access = access.get_or_init(|| token).await.clone()?;
            if !access.scope.iter().any(|granted| granted == scope) {
                return Err(DataError::NotShared);
            }
            let mut result = call(app.user_api.clone(), access.token.clone()).await;
            if result.as_ref().is_err_and(|error| *error == ApiError::Unauthorized) {
                let renewed = app.vault.renew(&access).await?;
                result = call(app.user_api.clone(), renewed.token).await;
            }
            Ok(result?)
        };
        Box::pin(self.load(answers, query, find)).await
    }

    /// False when the app does not ask for it, or when it is known from memory that the person does not share it.
    fn may_be_shared(&self, scope: &str) -> bool {
        let asked = self.app.config.matrica.scopes.iter().any(|asked| asked == scope);
        let connection = self.fresh(&self.person.connection, &());
        asked && connection.is_none_or(|connection| connection.data.scope.iter().any(|granted| granted == scope))
    }

    /// What is in memory and fresh.
    fn fresh<Q: Clone + Eq + Hash, V>(&self, answers: &Answers<Q, V>, query: &Q) -> Option<Loaded<V>> {
        let Ages { fresh, .. } = self.app.user_data.ages()?;
        answers
            .get(query)
            .filter(|answer| self.person.is_fresh(answer.asked, fresh))
            .map(|answer| loaded(answer, false))
    }

    /// By `find`, once for everybody who wants the same at the same time; or the last good answer.
    async fn load<Q, V>(
        &self,
        answers: fn(&Person) -> &Answers<Q, V>,
        query: Q,
        find: impl Future<Output = Result<V, DataError>> + Send + 'static,
    ) -> Result<Loaded<V>, DataError>
    where
        Q: Clone + Eq + Hash + Send + 'static,
        V: Serialize + Send + Sync + 'static,
    {
        let Some(Ages { fresh, kept }) = self.app.user_data.ages() else {
            let asked = Instant::now();
            return Ok(loaded(Answer::new(find.await?, asked), false));
        };
        let (cache, user_id) = (self.app.user_data.clone(), self.user_id);
        let (person, key) = (self.person.clone(), query.clone());
        let flight = async move {
            // The flight before this one may just have landed.
            if let Some(answer) = answers(&person).get(&key).filter(|answer| person.is_fresh(answer.asked, fresh)) {
                return Ok(answer);
            }
            let _place = person.places.acquire().await;
            let asked = Instant::now();
            let result = find.await.map(|data| Answer::new(data, asked));
            match &result {
                Ok(answer) => person.resize(answers(&person).keep(key, answer.clone())),
                // What is not shared any more is not shown any more.
                Err(DataError::NotShared | DataError::Rejected) => person.resize(answers(&person).drop(&key)),
                Err(DataError::Reconnect) => cache.forget(user_id),
                Err(DataError::Unavailable) => {}
            }
            cache.weigh(user_id, &person);
            result
        };
        let mut landing = answers(&self.person).flights.join(query.clone(), &self.app.tasks.tracker, flight);
        let landed = tokio::time::timeout(WAIT, landing.wait_for(Option::is_some)).await;
        // None when it takes too long, or when the task broke.
        let result = landed.ok().and_then(Result::ok).and_then(|result| result.clone());
        match result.unwrap_or(Err(DataError::Unavailable)) {
            Ok(answer) => Ok(loaded(answer, false)),
            Err(DataError::Unavailable) => {
                let last_good = answers(&self.person).get(&query).filter(|answer| answer.asked.elapsed() < kept);
                last_good.map(|answer| loaded(answer, true)).ok_or(DataError::Unavailable)
            }
            Err(error) => Err(error),
        }
    }
}

fn loaded<V>(answer: Answer<V>, stale: bool) -> Loaded<V> {
    Loaded { age: answer.asked.elapsed(), data: answer.data, stale }
}

impl From<VaultError> for DataError {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::NoGrant | VaultError::Expired | VaultError::Unopenable(_) => Self::Reconnect,
            VaultError::Unavailable | VaultError::Database(_) => Self::Unavailable,
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
