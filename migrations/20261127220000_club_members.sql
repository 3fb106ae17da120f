-- The example of a table that background work keeps true: who is a member of the club.
create table club_members (
    user_id      uuid primary key references users on delete cascade,
    member_since timestamptz not null default now(),
    checked_at   timestamptz not null default now()
);
