//! Sealing stored tokens anew under the first key, while servers go on refreshing them.

use sqlx::PgConnection;
use uuid::Uuid;

use super::context::{SealContext, TokenKind};
use crate::engine::{
    db::{
        self,
        keys::{self, ResealedRow, SealedRow, Table},
    },
    seal::{self, OpenError, Sealer},
};

/// Rows read and written at once.
const BATCH: i64 = 500;
/// A row that a server wrote meanwhile is looked at again, this often at most: a server may still seal by an older key.
const PASSES_MAX: usize = 5;

/// What a rotation did.
#[derive(Debug, Default, Clone, Copy)]
pub struct Rotated {
    /// Rows sealed anew.
    pub resealed: u64,
    /// Rows that do not open. They are as they were.
    pub unopenable: u64,
}

/// Seals every row anew that is not wholly under the first key. Each row is old or new at any time, and whoever writes it in
/// between wins, so this can be stopped, repeated, and run twice at once. `progress` is told how many more rows are done.
pub async fn rotate(
    connection: &mut PgConnection,
    sealer: &Sealer,
    mut progress: impl FnMut(usize),
) -> Result<Rotated, db::Error> {
    let mut rotated = Rotated::default();
    for table in [Table::Grants, Table::Revocations] {
        for _ in 0..PASSES_MAX {
            let pass = pass(connection, sealer, table, &mut progress).await?;
            rotated.resealed += pass.resealed;
            if pass.overtaken == 0 {
                rotated.unopenable += pass.unopenable;
                break;
            }
        }
    }
    Ok(rotated)
}

#[derive(Default)]
struct Pass {
    resealed: u64,
    unopenable: u64,
    /// Rows that somebody else wrote between our reading and writing.
    overtaken: u64,
}

async fn pass(
    connection: &mut PgConnection,
    sealer: &Sealer,
    table: Table,
    progress: &mut impl FnMut(usize),
) -> Result<Pass, db::Error> {
    let head = seal::envelope_prefix(sealer.active_key());
    let mut pass = Pass::default();
    let mut after = Uuid::nil();
    loop {
        let rows = keys::next_rows_not_under(connection, table, &head, after, BATCH).await?;
        let Some(last) = rows.last() else {
            return Ok(pass);
        };
        after = last.grant_id;
        let resealed: Vec<ResealedRow> = rows
            .iter()
            .filter_map(|row| reseal(sealer, row).ok())
            .collect();
        let written = keys::reseal(connection, table, &resealed).await?;
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

/// The generation stays: nothing about the tokens changes but their envelope.
fn reseal(sealer: &Sealer, row: &SealedRow) -> Result<ResealedRow, OpenError> {
    let context = SealContext {
        grant_id: row.grant_id,
        user_id: row.user_id,
        generation: row.generation,
    };
    let anew = |kind, sealed: &[u8]| {
        Ok(context.seal(sealer, kind, &context.open_quietly(sealer, kind, sealed)?))
    };
    Ok(ResealedRow {
        grant_id: row.grant_id,
        before: row.access_token.clone(),
        access_token: anew(TokenKind::Access, &row.access_token)?,
        refresh_token: row
            .refresh_token
            .as_deref()
            .map(|sealed| anew(TokenKind::Refresh, sealed))
            .transpose()?,
    })
}
