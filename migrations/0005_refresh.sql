-- Refreshing a grant. Only the holder of the lease may ask the provider and write the answer. A lease expires on the
-- database's clock if its owner dies. `lease_owner` is the fencing token. It stays after a success to name the writer.
--
-- `unanswered` goes up before a request leaves, and down when the answer shows that the refresh token is still good. More
-- than 0 outside a lease means that the provider may have replaced the token in an answer that was lost.
alter table grants
    add column lease_owner uuid,
    add column lease_until timestamptz,
    add column unanswered  integer not null default 0 check (unanswered >= 0),
    -- Failed tries in a row, and when the next one is allowed.
    add column failures    integer not null default 0 check (failures >= 0),
    add column retry_at    timestamptz;
