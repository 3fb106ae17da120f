//! Models of the concurrent parts, of which every interleaving is checked.
//!
//! `docs/refresh-model.md` says which step of the model stands for which statement of the code.
#![allow(
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unreachable
)]

mod refresh;
mod session_cache;
mod single_flight;
