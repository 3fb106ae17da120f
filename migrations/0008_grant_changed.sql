-- Invalidates cached user data when a user connects again, perhaps with fewer scopes, or disconnects.
-- A refresh keeps the id and sends none. It can only narrow the scopes, and cached data expires within a minute.
create function grant_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('grant_changed', coalesce(new.user_id, old.user_id)::text);
    return null;
end $$;

create trigger grant_changed after insert or delete or update of id on grants
    for each row execute function grant_changed();
