-- Gives the server a database role of its own, which can read and write rows and nothing else.
--
-- `owner` runs `migrate` and owns the tables. `app` runs everything else. Run this once after the first `migrate`, as an
-- administrator, or as the owner if it may create roles. Later migrations are covered. Repeating it changes nothing.
--
--   psql -v owner=matrica -v app=matrica_app -f deploy/postgres/roles.sql "$ADMIN_DATABASE_URL"
--
-- Set the password with `\password matrica_app`, or add `-v password=…` where only you see the list of processes.

\set ON_ERROR_STOP on
\set QUIET on
begin;

select format('create role %I login', :'app')
where not exists (select from pg_roles where rolname = :'app') \gexec
\if :{?password}
alter role :"app" password :'password';
\endif

-- Before version 15 every role may create tables in this schema.
revoke create on schema public from public;
select format('revoke temporary on database %I from public', current_database()) \gexec
select format('grant connect on database %I to %I', current_database(), :'app') \gexec
grant usage on schema public to :"app";

-- Truncating, creating triggers and changing tables stay with the owner.
grant select, insert, update, delete on all tables in schema public to :"app";
grant usage on all sequences in schema public to :"app";
alter default privileges for role :"owner" in schema public grant select, insert, update, delete on tables to :"app";
alter default privileges for role :"owner" in schema public grant usage on sequences to :"app";

-- The record of migrations. The server only reads it.
select format('revoke insert, update, delete on _sqlx_migrations from %I', :'app')
where to_regclass('public._sqlx_migrations') is not null \gexec

commit;
