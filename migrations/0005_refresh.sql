-- Refreshing a grant. Whoever holds the lease may ask the provider, and only their answer is written back. A lease ends by
-- itself, on the database's clock, should its owner die. After a success `lease_owner` stays: it says who wrote.
--
-- `unanswered` goes up before a request leaves and down again when the answer shows that the refresh token is still good.
-- More than 0 outside a lease means: the provider may have replaced the token in an answer that was lost.
alter table grants
    add column lease_owner uuid,
    add column lease_until timestamptz,
    add column unanswered  integer not null default 0 check (unanswered >= 0),
    -- Failed tries in a row, and when the next one is allowed.
    add column failures    integer not null default 0 check (failures >= 0),
    add column retry_at    timestamptz;
