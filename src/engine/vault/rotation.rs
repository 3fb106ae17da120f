//! Key rotation: sealing the grants again under the first key, while servers go on refreshing them.
//!
//! Queued revocations are left alone. They drain within about 15 hours.

use sqlx::PgConnection;
use uuid::Uuid;

use super::context::{SealContext, TokenKind};
use crate::engine::db;
use crate::engine::db::keys::{self, ResealedRow, SealedRow};
use crate::engine::seal::{self, OpenError, Sealer};

/// Rows read and written at once.
const BATCH: i64 = 500;
/// Most passes. Rows that were changed during a pass are retried in the next one, because a server
/// may still seal by an older key.
const PASSES_MAX: usize = 5;

/// The result of a rotation.
#[derive(Debug, Default, Clone, Copy)]
pub struct Rotated {
    /// Rows sealed again.
    pub resealed: u64,
    /// Rows that do not open. They are unchanged.
    pub unopenable: u64,
    /// Rows that were changed between our read and our write.
    overtaken: u64,
}

/// Seals every grant again that is not wholly under the first key.
///
/// Each row is old or new at any time, and a concurrent writer wins. A rotation can be stopped,
/// repeated, and run twice at once. `progress` is called with the number of rows that were read.
pub async fn rotate(
    connection: &mut PgConnection,
    sealer: &Sealer,
    mut progress: impl FnMut(usize),
) -> Result<Rotated, db::Error> {
    let mut rotated = Rotated::default();
    for _ in 0..PASSES_MAX {
        let pass = pass(connection, sealer, &mut progress).await?;
        let resealed = rotated.resealed + pass.resealed;
        rotated = Rotated { resealed, ..pass };
        if pass.overtaken == 0 {
            break;
        }
    }
    Ok(rotated)
}

async fn pass(
    connection: &mut PgConnection,
    sealer: &Sealer,
    progress: &mut impl FnMut(usize),
) -> Result<Rotated, db::Error> {
    let head = seal::envelope_prefix(sealer.active_key());
    let mut pass = Rotated::default();
    let mut after = Uuid::nil();
    loop {
        let rows = keys::next_rows_not_under(connection, &head, after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(pass);
        };
        after = last.grant_id;
        let resealed = rows.iter().filter_map(|row| reseal(sealer, row).ok());
        let resealed: Vec<ResealedRow> = resealed.collect();
        let written = keys::reseal(connection, &resealed).await?;
        pass.resealed += written;
        pass.unopenable += (rows.len() - resealed.len()) as u64;
        pass.overtaken += resealed.len() as u64 - written;
        progress(rows.len());
    }
}

/// Whether both tokens of a row open.
pub fn opens(sealer: &Sealer, row: &SealedRow) -> bool {
    reseal(sealer, row).is_ok()
}

/// Seals both tokens again. The generation stays, because the tokens do.
fn reseal(sealer: &Sealer, row: &SealedRow) -> Result<ResealedRow, OpenError> {
    let context = SealContext {
        grant_id: row.grant_id,
        user_id: row.user_id,
        generation: row.generation,
    };
    let again = |kind, sealed: &[u8]| {
        let token = context.open_quietly(sealer, kind, sealed)?;
        Ok(context.seal(sealer, kind, &token))
    };
    let refresh_token = row.refresh_token.as_deref();
    Ok(ResealedRow {
        grant_id: row.grant_id,
        before: row.access_token.clone(),
        access_token: again(TokenKind::Access, &row.access_token)?,
        refresh_token: refresh_token
            .map(|sealed| again(TokenKind::Refresh, sealed))
            .transpose()?,
    })
}
