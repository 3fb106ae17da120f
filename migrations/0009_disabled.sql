-- Locking a person ends their sessions for good. Unlocking them later revives none, so a stolen session stays ended.
create function user_disabled() returns trigger language plpgsql as $$
begin
    delete from sessions where user_id = new.id;
    return null;
end $$;

create trigger user_disabled after update of disabled_at on users for each row
    when (new.disabled_at is not null and old.disabled_at is null)
    execute function user_disabled();

delete from sessions using users where users.id = user_id and disabled_at is not null;
