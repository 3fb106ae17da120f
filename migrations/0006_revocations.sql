-- Tokens that are no longer ours to use and wait to be revoked at the provider. A row comes from `grants` as it was, so the
-- seals still fit, in the statement that deletes it there. `user_id` is part of the seal and refers to nobody: the person
-- may be gone. A row that could not be revoked is deleted after some tries or days.
create table revocations (
    grant_id      uuid primary key,
    user_id       uuid not null,
    generation    bigint not null,
    access_token  bytea not null,
    refresh_token bytea,
    created_at    timestamptz not null default now(),
    due_at        timestamptz not null default now(),
    attempts      integer not null default 0
);

create index revocations_due_at on revocations (due_at);
create index revocations_user_id on revocations (user_id);

comment on column revocations.access_token is 'secret: sealed by TOKEN_KEYS, never in clear';
comment on column revocations.refresh_token is 'secret: sealed by TOKEN_KEYS, never in clear';
