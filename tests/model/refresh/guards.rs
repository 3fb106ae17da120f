//! The guards of the code, each of which a mutation takes out.

/// A guard. The comment names the statement or the line that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// `grants::lease`: `coalesce(lease_until < now(), true)`.
    LeaseExcludesOthers,
    /// `grants::lease`: `generation = $2`.
    LeaseNamesGeneration,
    /// `grants::lease`: `unanswered = unanswered + 1`, before the request.
    WriteAheadMark,
    /// `try_refresh`: `LEASE_AGE_MAX`, and the `deadline` that counts from before the lease.
    LeaseAge,
    /// `grants::store_refreshed`: `generation` and `lease_owner`.
    Fence,
    /// `grants::store_refreshed`: all of its `where`, so that a login is overwritten too.
    StoreNamesVersion,
    /// `grants::end`: `id`, `generation` and `lease_owner`.
    EndNamesVersion,
    /// `keep`: the statement that stores the tokens is the one that gives the lease back.
    LeaseLastsUntilStored,
    /// `RefreshFailure::from`: only `InvalidGrant` is `Ended`.
    OnlyInvalidGrantEnds,
    /// `superseded`: without a grant the new tokens are queued.
    LateTokensAreQueued,
    /// `superseded`: with a grant the new tokens are dropped.
    LateTokensOfGrantAreDropped,
    /// `superseded`: a failed look for the grant is repeated.
    LookIsRepeated,
    /// `revocations::insert`: `where not exists (select from grants …)`.
    InsertChecksGrant,
    /// `end_sessions`, `queue_grant`: the row moves to `revocations`.
    EndingQueues,
    /// `store_login_2`: `delete from revocations`.
    LoginCancelsQueue,
    /// `revocations::claim`: `due_at <= now()` of a row that is still there.
    ClaimBeforeRevoking,
}
