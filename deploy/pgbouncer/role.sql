-- Gives the role of the server the limits that it asks for with each connection, because PgBouncer drops them.
--
--   psql -v app=matrica_app -f deploy/pgbouncer/role.sql "$ADMIN_DATABASE_URL"

\set ON_ERROR_STOP on
\set QUIET on
alter role :"app" set statement_timeout = '3s';
alter role :"app" set lock_timeout = '2s';
alter role :"app" set idle_in_transaction_session_timeout = '5s';
alter role :"app" set enable_seqscan = off;
alter role :"app" set jit = off;
