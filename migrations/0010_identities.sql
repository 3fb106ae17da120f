-- Every id that a provider has sent for a person. A person is found by any of them, so that a provider that sends another
-- id tomorrow does not turn one person into two. Ids of another provider, or of another kind, are never compared.
create table identities (
    -- The origin of the authorization endpoint.
    provider   text not null,
    -- Matrica has two id spaces: the user's and the profile's.
    kind       text not null check (kind in ('user', 'profile')),
    subject    text not null check (length(subject) between 1 and 128),
    user_id    uuid not null references users on delete cascade,
    created_at timestamptz not null default now(),
    primary key (provider, kind, subject)
);

create index identities_user_id on identities (user_id);

-- `subject` and `subject_source` stay for an older release that runs beside this one. They are null where another provider
-- has the same id. A person without identities was stored by such a release, and gets them at the next login.
alter table users
    alter column subject drop not null,
    alter column subject_source drop not null;

-- Which provider issued the tokens. They are sent to no other one. Null means an older release, which knew one only.
alter table grants add column provider text;
alter table revocations add column provider text;
