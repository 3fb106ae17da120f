-- The queue of tokens to be revoked at the provider. The statement that deletes a grant copies its row here unchanged, so
-- the seals still fit. `user_id` is part of the seal and no foreign key, because the user may be deleted. A row that could
-- not be revoked is deleted after 8 tries or 7 days.
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
