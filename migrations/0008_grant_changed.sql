-- How the servers' memories of people's data learn that somebody has connected anew, perhaps sharing less, or has left.
-- A refresh keeps the id and is not worth a notification: it can only narrow what is shared, which shows within a minute.
create function grant_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('grant_changed', coalesce(new.user_id, old.user_id)::text);
    return null;
end $$;

create trigger grant_changed after insert or delete or update of id on grants
    for each row execute function grant_changed();
