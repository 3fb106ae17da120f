//! Models of the concurrent parts, of which every interleaving is checked.
//!
//! `docs/refresh-model.md` says which step of the model stands for which statement of the code.

mod refresh;
mod session_cache;
mod single_flight;
