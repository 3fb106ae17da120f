-- The provider of whatever an older release stored without naming one. The first server of this release that starts
-- enters the one it is set up with, and no server changes it after that. Tokens are sent to no other provider, and another
-- provider's ids find nobody.
create table first_provider (
    provider text not null,
    only_row boolean primary key default true check (only_row)
);

insert into first_provider (provider) select provider from identities order by created_at limit 1;

-- Stores a login: the person, their identities, the grant, the session, and the outcome of the attempt. A function, because
-- each of its statements sees what others have committed while it waited for the person's lock, and rare work is skipped.
--
-- `store_login` looked at the grant before it had the lock. It stays for an older release that runs beside this one. A
-- change of the parameters or of an outcome needs a new name again.
--
-- Outcomes. Only `done` writes.
--   done      stored. `created` says that the person is new, `ended` names the sessions that it has ended.
--   reseal    the tokens are sealed for another id than the person's, which is `owner`.
--   unknown   a newcomer, and `may_create` is false.
--   switched  not the person whom `must_be` demands.
--   disabled  an operator has locked the person out.
--   again     another login of the same newcomer, or a removal, came first. Try again.
-- With `switched` and `disabled`, `connected` says whether the person has a grant. An error ML001 means that their stored
-- grant is sealed by a key that is not in `key_ids`. It must not be lost.
--
-- Lists are walked in a loop. For a statement with a list Postgres would make a new plan each time.
create function store_login_2(
    sealed_for uuid,
    issuer text, kinds text[], subjects text[], first_source text,
    may_create boolean, must_be uuid[], key_ids text[],
    person_name text, person_picture text,
    new_grant uuid, first_generation bigint, sealed_access bytea, sealed_refresh bytea, granted_scope text,
    access_age float8, access_lifetime float8,
    new_session bytea, session_lifetime float8, session_device text, replaced bytea, sessions_max bigint,
    attempt bytea, final_outcome text, exchange_took integer, profile_took integer,
    out outcome text, out owner uuid, out created boolean, out connected boolean, out ended bytea[],
    out session_name uuid, out session_begin timestamptz, out session_end timestamptz
) language plpgsql as $$
declare
    known integer := 0;
    found_user uuid;
    surplus bytea[];
    -- The caller notifies other servers after the commit.
    notify text := set_config('matrica.notify', 'later', true);
    -- An index scan forgets the entries of rows that are gone. A bitmap scan visits them until the next vacuum, so people who
    -- sign in often would cost more and more.
    bitmaps text := set_config('enable_bitmapscan', 'off', true);
begin
    created := false;
    connected := false;
    ended := '{}';

    -- Who is it? The first of the given ids that is known decides.
    for place in 1 .. cardinality(kinds) loop
        select user_id into found_user from identities
        where provider = issuer and kind = kinds[place] and subject = subjects[place];
        if found then
            known := known + 1;
            owner := coalesce(owner, found_user);
        end if;
    end loop;
    if owner is null then
        -- Stored by an older release, which knew three places and one id.
        select users.id into owner
        from unnest(kinds, subjects) with ordinality as given (kind, subject, place)
        join users on users.subject = given.subject and users.subject_source in ('v2.id', 'v2.profile.id', 'v1.id')
        where (kind = 'user' or subject_source = 'v2.profile.id')
          and not exists (select from identities where user_id = users.id)
          and coalesce((select provider from first_provider where only_row), issuer) = issuer
        order by place, users.created_at limit 1;
    end if;

    -- Refusals.
    if owner is null and not may_create then
        outcome := 'unknown';
        return;
    elsif cardinality(must_be) > 0 and (owner = all (must_be)) is not true then
        outcome := 'switched';
        perform from users where id = owner for no key update;
        connected := exists (
            select from grants where user_id = owner
            and coalesce(provider, (select provider from first_provider where only_row), issuer) = issuer
        );
        return;
    elsif owner <> sealed_for then
        outcome := 'reseal';
        return;
    end if;

    -- The person. From here on their row is locked.
    if owner is null then
        insert into users (id, subject, subject_source, display_name, picture_url)
        values (sealed_for,
                case when not exists (select from users where subject = subjects[1] and subject_source = first_source)
                     then subjects[1] end,
                first_source, person_name, person_picture)
        on conflict do nothing;
        if not found then
            outcome := 'again';
            return;
        end if;
        owner := sealed_for;
        created := true;
    else
        update users set display_name = person_name, picture_url = person_picture, last_login_at = now()
        where id = owner and disabled_at is null;
        if not found then
            select 'disabled' into outcome from users where id = owner and disabled_at is not null for no key update;
            outcome := coalesce(outcome, 'again');
            connected := exists (
                select from grants where user_id = owner
                and coalesce(provider, (select provider from first_provider where only_row), issuer) = issuer
            );
            return;
        end if;
    end if;
    if known < cardinality(kinds) then
        insert into identities (provider, kind, subject, user_id)
        select issuer, kind, subject, owner from unnest(kinds, subjects) as given (kind, subject)
        on conflict do nothing;
        if created and exists (
            select from unnest(kinds, subjects) as given (kind, subject) join identities using (kind, subject)
            where provider = issuer and user_id <> owner
        ) then
            -- Two first logins at once brought different ids of one person. This one is undone.
            raise exception 'another login of this person came first' using errcode = 'serialization_failure';
        end if;
    end if;

    -- The tokens.
    insert into grants as stored (user_id, id, generation, access_token, refresh_token, scope, provider,
                                  access_issued_at, access_expires_at)
    values (owner, new_grant, first_generation, sealed_access, sealed_refresh, granted_scope, issuer,
            now() - make_interval(secs => access_age),
            now() - make_interval(secs => access_age) + make_interval(secs => access_lifetime))
    on conflict (user_id) do update
    set id = excluded.id, generation = excluded.generation, access_token = excluded.access_token,
        refresh_token = excluded.refresh_token, scope = excluded.scope, provider = excluded.provider,
        access_issued_at = excluded.access_issued_at, access_expires_at = excluded.access_expires_at,
        created_at = now(), lease_owner = null, lease_until = null, unanswered = 0, failures = 0, retry_at = null
    -- An envelope is one byte for the version, one for the length of the key id, and the id.
    where (case when octet_length(stored.access_token) >= 2 and get_byte(stored.access_token, 0) = 1
                then encode(substring(stored.access_token from 3 for get_byte(stored.access_token, 1)), 'escape')
           end = any (key_ids)) is not false;
    if not found then
        raise exception 'the stored grant is sealed by another key' using errcode = 'ML001';
    end if;
    -- Revoking an older token could revoke the new ones, because they are of one family. Last, because the sweeper may have
    -- queued the old grant while the new one waited for it.
    delete from revocations
    where user_id = owner and coalesce(provider, (select provider from first_provider where only_row), issuer) = issuer;

    -- The session. A repeated try finds it already there.
    insert into sessions (id_hash, user_id, expires_at, device)
    values (new_session, owner, now() + make_interval(secs => session_lifetime), session_device)
    on conflict (id_hash) do nothing
    returning public_id, created_at, expires_at into session_name, session_begin, session_end;
    if not found then
        select public_id, created_at, expires_at into session_name, session_begin, session_end
        from sessions where id_hash = new_session;
    end if;
    if replaced is not null then
        delete from sessions where id_hash = replaced;
        ended := array[replaced];
    end if;
    if not created then
        select array_agg(id_hash) into surplus from (
            select id_hash from sessions where user_id = owner and id_hash <> new_session
            order by created_at desc offset sessions_max - 1
        ) as oldest;
        if surplus is not null then
            for place in 1 .. cardinality(surplus) loop
                delete from sessions where id_hash = surplus[place];
            end loop;
            ended := ended || surplus;
        end if;
    end if;

    update login_attempts
    set outcome = final_outcome, exchange_ms = exchange_took, profile_ms = profile_took,
        store_ms = extract(milliseconds from clock_timestamp() - statement_timestamp())::integer
    where state_hash = attempt;
    outcome := 'done';
end $$;
