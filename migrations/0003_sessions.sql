-- Signed-in browsers. Nobody anonymous ever gets a row. The cookie's value is stored hashed only, so a read of this
-- table signs nobody in. `public_id` names a session where a person may see it; it opens nothing.
create table sessions (
    id_hash      bytea primary key check (octet_length(id_hash) = 32),
    public_id    uuid not null unique default gen_random_uuid(),
    user_id      uuid not null references users on delete cascade,
    created_at   timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at   timestamptz not null,
    data         jsonb not null default '{}'
);

create index sessions_user_id on sessions (user_id);
create index sessions_expires_at on sessions (expires_at);

comment on column sessions.id_hash is 'SHA-256 of the cookie value; the value itself is stored nowhere';
