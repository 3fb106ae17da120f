//! An example of background work: a table of members that a check each night keeps true.

use std::time::Duration;

use time::OffsetDateTime;
use uuid::Uuid;

use super::holders::Holders;
use crate::engine::db::{self, Db};
use crate::engine::{Engine, Grant, Job, Later, gate};

/// People who open the gate of [`Holders`] are members.
pub enum Membership {}

impl Job for Membership {
    const NAME: &'static str = "club-membership";
    const EVERY: Duration = Duration::from_hours(24);

    async fn person(engine: &Engine, user_id: Uuid, grant: Grant<'_>) -> Result<(), Later> {
        let is_member = match grant {
            Grant::Live(reader) => {
                let rule = gate::rule::<Holders>(engine);
                gate::check_with(reader, &rule).await.decided()?
            }
            Grant::Gone => false,
        };
        if is_member {
            keep(&engine.db, user_id).await?;
        } else {
            remove(&engine.db, user_id).await?;
        }
        Ok(())
    }
}

async fn keep(db: &Db, user_id: Uuid) -> Result<(), db::Error> {
    sqlx::query!(
        "insert into club_members (user_id) values ($1)
         on conflict (user_id) do update set checked_at = now()",
        user_id
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn remove(db: &Db, user_id: Uuid) -> Result<(), db::Error> {
    sqlx::query!("delete from club_members where user_id = $1", user_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Since when the person is a member.
pub async fn member_since(db: &Db, user_id: Uuid) -> Result<Option<OffsetDateTime>, db::Error> {
    let since = sqlx::query_scalar!(
        "select member_since from club_members where user_id = $1",
        user_id
    );
    Ok(since.fetch_optional(db).await?)
}
