//! The refresh protocol: one person, their grant, the queue of revocations, and the provider.

mod actions;
mod check;
mod flight;
mod guards;
mod properties;
mod provider;
mod state;
mod steps;
mod tables;
