-- People who have signed in. The identity is the provider's immutable id together with the place it was read from,
-- because Matrica has two id spaces (the user's and the profile's) and they must never be compared with each other.
-- Names and pictures are labels that people edit; they are kept for greeting only.
create table users (
    id             uuid primary key,
    subject        text not null check (length(subject) between 1 and 128),
    subject_source text not null check (subject_source in ('v2.id', 'v2.profile.id', 'v1.id')),
    display_name   text not null check (length(display_name) between 1 and 100),
    picture_url    text check (length(picture_url) <= 2048),
    created_at     timestamptz not null default now(),
    last_login_at  timestamptz not null default now(),
    -- Set by an operator to lock somebody out; every session of theirs stops counting at once.
    disabled_at    timestamptz,
    unique (subject_source, subject)
);
