-- One row per callback with a valid login attempt. The primary key makes an attempt single-use. The outcome is written
-- later and decides the answer to a repeated callback. Nothing here is secret.
create table login_attempts (
    state_hash  bytea primary key check (octet_length(state_hash) = 32),
    reference   text not null,
    burnt_at    timestamptz not null default now(),
    -- Null during the exchange, then `signed_in` or the name of the refusal.
    outcome     text,
    exchange_ms integer,
    profile_ms  integer,
    store_ms    integer
);

create index login_attempts_reference on login_attempts (reference);
create index login_attempts_burnt_at on login_attempts (burnt_at);
