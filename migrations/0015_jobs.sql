-- Background work with stored tokens.

-- The jobs that servers have announced. Deleting one forgets its turns.
create table jobs (
    name       text primary key check (length(name) between 1 and 60),
    created_at timestamptz not null default now()
);

-- When each person's turn is. `user_id` refers to nobody, because the end of a grant is told also when the person is gone.
create table job_turns (
    user_id       uuid not null,
    job           text not null references jobs on delete cascade,
    -- Null once the job was told that the grant has ended.
    due_at        timestamptz default now(),
    -- Goes up when the grant changes. Work that began before must not postpone the turn that this makes.
    revision      bigint not null default 0,
    -- Who works on it, and until when others leave it alone.
    claim         uuid,
    claimed_until timestamptz,
    -- Failed tries in a row.
    failures      integer not null default 0,
    last_error    text check (length(last_error) <= 200),
    done_at       timestamptz,
    primary key (user_id, job)
);

create index job_turns_due_at on job_turns (job, due_at);

-- A new grant has a turn at once, and so has the end of one.
create function grant_turns() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        update job_turns set due_at = now(), revision = revision + 1, failures = 0
        where user_id = old.user_id and due_at is not null;
    else
        insert into job_turns (user_id, job) select new.user_id, name from jobs order by name
        on conflict (user_id, job) do update set due_at = now(), revision = job_turns.revision + 1, failures = 0;
    end if;
    return null;
end $$;

create trigger grant_turns after insert or delete or update of id on grants
    for each row execute function grant_turns();

-- Whoever is locked out has a turn at once. Whoever is deleted has their last one first.
create function user_turns() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' then
        delete from job_turns where user_id = old.id and due_at is null;
    else
        update job_turns set due_at = now(), revision = revision + 1, failures = 0
        where user_id = new.id and due_at is not null;
    end if;
    return null;
end $$;

create trigger user_turns_deleted after delete on users for each row execute function user_turns();
create trigger user_turns_disabled after update of disabled_at on users for each row
    when (new.disabled_at is not null and old.disabled_at is null)
    execute function user_turns();

-- The person lets background work go on while they are signed out.
alter table users add column check_while_away boolean not null default false;
