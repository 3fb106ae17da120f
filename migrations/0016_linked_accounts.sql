-- Accounts of other providers that people have linked, beside the one that they signed up with.

-- The name that the provider shows, for the settings.
alter table identities add column name text check (length(name) between 1 and 100);

-- Their tokens. A table that inherits: statements on `grants` find these rows too, so refreshing, sealing anew, sweeping and
-- revoking are the same for every provider. `only grants` leaves them out. Keys are not inherited.
create table linked_grants (
    primary key (user_id, provider),
    unique (id),
    foreign key (user_id) references users on delete cascade
) inherits (grants);
