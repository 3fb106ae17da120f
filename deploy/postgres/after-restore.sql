-- Makes a restored database safe. Run it after `migrate` and before a server starts, as the owner of the tables.
--
--   psql -f deploy/postgres/after-restore.sql "$DATABASE_URL"
--
-- A backup does not know what has ended since. Its sessions may be signed out, its refresh tokens replaced, and its
-- queued tokens revoked. A provider takes a replaced refresh token for theft and ends the whole connection. So all of them
-- go. People and their data stay, and the next sign-in of a person makes a new session and a new grant.
--
-- `login_attempts` stays, because its rows keep a code from being sent twice. Repeating this file is harmless.

\set ON_ERROR_STOP on
\set QUIET on
begin;

-- A running server could store tokens in the middle of this.
do $$ begin
    if exists (select from pg_stat_activity
               where datname = current_database() and application_name = 'matrica-starter') then
        raise exception 'a server is connected to this database: stop every server first';
    end if;
end $$;

-- No server listens.
set local matrica.notify = 'later';

delete from sessions;
-- Also the tokens of linked accounts, because that table inherits from this one. Jobs are told that the grants have ended.
delete from grants;
delete from revocations;
-- A consent that was withdrawn since must not come back.
update users set check_while_away = false where check_while_away;

commit;
