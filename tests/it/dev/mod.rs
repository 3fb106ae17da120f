//! The `dev` command, the demo provider and the private Postgres.

mod demo_provider;
mod dev_command;
mod new_app;
mod playground;
mod private_postgres;
