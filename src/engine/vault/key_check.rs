//! Whether `TOKEN_KEYS` open what is stored. A server with the wrong keys must change no row.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use uuid::Uuid;

use super::{Vault, rotation};
use crate::engine::db::keys::{self, SealedRow};
use crate::engine::seal::{self, Sealer};

/// Pause between two checks.
const PAUSE: Duration = Duration::from_mins(1);
/// The same while the keys are wrong or unchecked.
const PROBLEM_PAUSE: Duration = Duration::from_secs(5);
/// Grants and queued revocations that one check opens, each.
const SAMPLE: i64 = 20;
/// Rows of one key that must not open. A single one may have been tampered with, which is no reason
/// to stop a server.
const FAILURES_MIN: usize = 2;

/// The last finding. Clones share it.
#[derive(Clone, Default)]
pub struct KeyState(Arc<AtomicU8>);

const UNCHECKED: u8 = 0;
const RIGHT: u8 = 1;
const WRONG: u8 = 2;

/// What a sample says about one key.
#[derive(Default, Clone, Copy)]
struct KeyFinding {
    known: bool,
    opened: usize,
    failed: usize,
}

impl KeyFinding {
    fn is_wrong(self) -> bool {
        !self.known || (self.failed >= FAILURES_MIN && self.failed >= self.opened)
    }
}

impl Vault {
    /// Why this server must sign nobody in and change no token. `None` once a check has found that
    /// its keys open what is stored.
    pub fn key_problem(&self) -> Option<&'static str> {
        match self.key_state.0.load(Ordering::Acquire) {
            RIGHT => None,
            UNCHECKED => Some("TOKEN_KEYS are not checked yet"),
            _ => Some("TOKEN_KEYS do not open the stored tokens"),
        }
    }

    /// Opens a sample of stored tokens. A database that does not answer changes nothing.
    pub async fn check_keys(&self) {
        let Ok(sample) = keys::sample(&self.db, Uuid::new_v4(), SAMPLE).await else {
            return;
        };
        let findings = judge(&self.sealer, &sample);
        let wrong = findings.iter().find(|(_, finding)| finding.is_wrong());
        let state = if wrong.is_some() { WRONG } else { RIGHT };
        let before = self.key_state.0.swap(state, Ordering::AcqRel) == WRONG;
        match wrong {
            Some((key_id, KeyFinding { known, failed, .. })) if !before => {
                tracing::error!(
                    event = "wrong_keys",
                    key_id,
                    known,
                    failed,
                    "TOKEN_KEYS do not open the stored tokens, so nobody is signed in"
                );
            }
            None if before => {
                tracing::info!(
                    event = "keys_right",
                    "TOKEN_KEYS open the stored tokens again"
                );
            }
            _ => {}
        }
    }

    /// Checks until shutdown.
    pub async fn watch_keys(self) {
        let watching = async {
            loop {
                self.check_keys().await;
                let right = self.key_problem().is_none();
                tokio::time::sleep(if right { PAUSE } else { PROBLEM_PAUSE }).await;
            }
        };
        self.tasks.shutdown.run_until_cancelled(watching).await;
    }
}

/// The findings by key id. Bytes that are no envelope belong to no key, so they say nothing.
fn judge(sealer: &Sealer, sample: &[SealedRow]) -> BTreeMap<String, KeyFinding> {
    let mut findings = BTreeMap::<String, KeyFinding>::new();
    for row in sample {
        let Some(key_id) = seal::key_id(&row.access_token) else {
            continue;
        };
        let finding = findings.entry(key_id.to_owned()).or_default();
        finding.known = sealer.key_ids().any(|known| known == key_id);
        if rotation::opens(sealer, row) {
            finding.opened += 1;
        } else {
            finding.failed += 1;
        }
    }
    findings
}
