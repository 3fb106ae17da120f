-- One row per callback that carried a valid login attempt. Inserting it is what makes an attempt single-use; the outcome
-- is written afterwards and tells a second, identical callback where to go. Nothing here is secret.
create table login_attempts (
    state_hash  bytea primary key check (octet_length(state_hash) = 32),
    reference   text not null,
    burnt_at    timestamptz not null default now(),
    -- Null while the exchange is under way, then `signed_in` or the name of the refusal.
    outcome     text,
    exchange_ms integer,
    profile_ms  integer,
    store_ms    integer
);

create index login_attempts_reference on login_attempts (reference);
create index login_attempts_burnt_at on login_attempts (burnt_at);
