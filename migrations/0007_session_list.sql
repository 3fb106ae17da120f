-- What people see in the list of their sessions, and how the servers' caches learn of an end on another server.
alter table sessions
    add column device text not null default 'Unknown device' check (length(device) between 1 and 60);

comment on column sessions.device is 'browser and system in words; the User-Agent itself is not kept';

create index sessions_last_seen_at on sessions (last_seen_at);

-- A notification leaves with the commit. The hash opens nothing. Sessions that were over anyway are not worth one.
create function session_ended() returns trigger language plpgsql as $$
begin
    if old.expires_at > now() then
        perform pg_notify('session_ended', encode(old.id_hash, 'hex'));
    end if;
    return null;
end $$;

create trigger session_ended after delete on sessions for each row execute function session_ended();

create function session_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('session_changed', encode(new.id_hash, 'hex'));
    return null;
end $$;

create trigger session_changed after update of data, expires_at on sessions
    for each row execute function session_changed();

create function user_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('session_changed', encode(id_hash, 'hex')) from sessions where user_id = new.id;
    return null;
end $$;

create trigger user_changed after update of disabled_at, display_name, picture_url on users for each row
    when ((old.disabled_at, old.display_name, old.picture_url) is distinct from (new.disabled_at, new.display_name, new.picture_url))
    execute function user_changed();
