//! From memory while it is fresh; otherwise with a live token, once for everybody who asks at the same time.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{
    DataError, Loaded, Reader,
    cache::{Ages, Answer, Answers, Person},
};
use crate::{
    matrica::{ApiError, UserApi},
    provider::Token,
};

/// Longest wait for data. Whatever is under way goes on without the one who waits, within its own bounds.
const WAIT: Duration = Duration::from_secs(12);
/// Longest wait for one of the person's places among the calls under way.
const PLACE_WAIT: Duration = Duration::from_secs(5);

impl Reader<'_> {
    /// An answer of the user API: 401 costs one refresh and one more call, never a loop; 403 is about the scope alone.
    pub(super) async fn read<Q, V, F>(
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
        self.may_be_shared(scope)?;
        let (app, user_id, access, person) = (self.app.clone(), self.user_id, self.access.clone(), self.person.clone());
        let limited = self.app.user_data.ages().is_some();
        let find = async move {
            let _place = if limited {
                let place = tokio::time::timeout(PLACE_WAIT, person.places.acquire()).await;
                Some(place.map_err(|_| DataError::Unavailable)?)
            } else {
                None
            };
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

    /// Refuses what the app does not ask for, and what is known from memory not to be shared.
    fn may_be_shared(&self, scope: &str) -> Result<(), DataError> {
        if !self.app.config.matrica.asks_for(scope) {
            return Err(DataError::NotAsked);
        }
        match self.fresh(&self.person.connection, &()) {
            Some(connection) if !connection.data.scope.iter().any(|granted| granted == scope) => {
                Err(DataError::NotShared)
            }
            _ => Ok(()),
        }
    }

    /// What is in memory and fresh.
    pub(super) fn fresh<Q: Clone + Eq + Hash, V>(&self, answers: &Answers<Q, V>, query: &Q) -> Option<Loaded<V>> {
        let Ages { fresh, .. } = self.app.user_data.ages()?;
        answers
            .get(query)
            .filter(|answer| self.person.is_fresh(answer.asked, fresh))
            .map(|answer| loaded(answer, false))
    }

    /// By `find`, once for everybody who wants the same at the same time; or the last good answer.
    pub(super) async fn load<Q, V>(
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
            let asked = Instant::now();
            let result = find.await.map(|data| Answer::new(data, asked));
            match &result {
                Ok(answer) => person.resize(answers(&person).keep(key, answer.clone(), kept)),
                // What is not shared any more is not shown any more.
                Err(DataError::NotShared) => person.resize(answers(&person).clear()),
                Err(DataError::Reconnect) => cache.forget(user_id),
                Err(_) => {}
            }
            cache.weigh(user_id, &person);
            result
        };
        // Whoever wants newer data does not join a flight that began before.
        let flight_key = (query.clone(), *self.person.newer_than());
        let mut landing = answers(&self.person).flights.join(flight_key, &self.app.tasks.tracker, flight);
        let landed = tokio::time::timeout(WAIT, landing.wait_for(Option::is_some)).await;
        // None when it takes too long, or when the task broke.
        let result = landed.ok().and_then(Result::ok).and_then(|result| result.clone());
        match result.unwrap_or(Err(DataError::Unavailable)) {
            Ok(answer) => Ok(loaded(answer, false)),
            Err(error @ (DataError::Unavailable | DataError::Database)) => {
                let last_good = answers(&self.person).get(&query).filter(|answer| answer.asked.elapsed() < kept);
                last_good.map(|answer| loaded(answer, true)).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }
}

fn loaded<V>(answer: Answer<V>, stale: bool) -> Loaded<V> {
    Loaded { age: answer.asked.elapsed(), data: answer.data, stale }
}
