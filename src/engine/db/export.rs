//! The data export of a user.

use serde_json::Value;
use uuid::Uuid;

use super::{Db, Error};

/// Everything stored about a user, as one JSON object. It says which tokens exist and when they
/// expire. Hashes and sealed bytes are left out.
pub async fn find(db: &Db, user_id: Uuid) -> Result<Value, Error> {
    Ok(sqlx::query_scalar!(
        r#"select jsonb_build_object(
               'exported_at', now(),
               'account', (
                   select jsonb_build_object('id', id, 'matrica_id', subject, 'matrica_id_from', subject_source,
                       'display_name', display_name, 'picture_url', picture_url, 'created_at', created_at,
                       'last_login_at', last_login_at, 'disabled_at', disabled_at,
                       'check_while_away', check_while_away)
                   from users where id = $1),
               'identities', (
                   select coalesce(jsonb_agg(jsonb_build_object('provider', provider, 'kind', kind, 'id', subject, 'name', name,
                       'first_seen_at', created_at) order by created_at, kind desc), '[]')
                   from identities where user_id = $1),
               'connection', (
                   select jsonb_build_object('provider', provider, 'scope', scope, 'connected_at', created_at,
                       'access_token_expires_at', access_expires_at, 'has_refresh_token', refresh_token is not null)
                   from only grants where user_id = $1),
               'linked_connections', (
                   select coalesce(jsonb_agg(jsonb_build_object('provider', provider, 'scope', scope, 'connected_at', created_at,
                       'access_token_expires_at', access_expires_at, 'has_refresh_token', refresh_token is not null)
                       order by provider), '[]')
                   from linked_grants where user_id = $1),
               'sessions', (
                   select coalesce(jsonb_agg(jsonb_build_object('id', public_id, 'device', device, 'signed_in_at', created_at,
                       'last_seen_at', last_seen_at, 'ends_at', expires_at, 'data', data) order by created_at), '[]')
                   from sessions where user_id = $1),
               'background_work', (
                   select coalesce(jsonb_agg(jsonb_build_object('job', job, 'last_done_at', done_at, 'next_at', due_at,
                       'failed_tries', failures, 'reason', last_error) order by job), '[]')
                   from job_turns where user_id = $1),
               'tokens_waiting_to_be_revoked', (select count(*) from revocations where user_id = $1)
           ) as "export!""#,
        user_id,
    )
    .fetch_one(db)
    .await?)
}
