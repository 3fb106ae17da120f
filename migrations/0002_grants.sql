-- What the provider granted us for a person: one row each, replaced as a whole by every new login.
-- Tokens are sealed before they get here. The seal covers the grant's id, the user's id, the column and the generation,
-- so a row copied to somebody else, or put back from an older backup, does not open.
create table grants (
    user_id           uuid primary key references users on delete cascade,
    id                uuid not null unique,
    generation        bigint not null check (generation >= 1),
    access_token      bytea not null,
    refresh_token     bytea,
    scope             text not null,
    access_issued_at  timestamptz not null,
    access_expires_at timestamptz not null,
    created_at        timestamptz not null default now()
);

comment on column grants.access_token is 'secret: sealed by TOKEN_KEYS, never in clear';
comment on column grants.refresh_token is 'secret: sealed by TOKEN_KEYS, never in clear';
