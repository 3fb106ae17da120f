-- A transaction that notifies takes one lock of the whole server while it commits, so sign-ins could not commit together.
-- A login says that it notifies later, and the server sends the notifications of many logins at once after their commits.
-- SQL by hand and older releases notify as before.
drop trigger session_ended on sessions;
create trigger session_ended after delete on sessions for each row
    when (current_setting('matrica.notify', true) is distinct from 'later')
    execute function session_ended();

drop trigger grant_changed on grants;
create trigger grant_changed after insert or delete or update of id on grants for each row
    when (current_setting('matrica.notify', true) is distinct from 'later')
    execute function grant_changed();
