-- A session is found by its user and this id, so the index on users is enough. One index less makes each sign-in cheaper.
alter table sessions drop constraint sessions_public_id_key;
