//! The engine. Updated as a whole, like `src/engine`.

mod breakers;
mod callback;
mod configuration;
mod cost;
mod csrf;
mod deployments;
mod keys;
mod layout;
mod leaving;
mod logs;
mod provider_faults;
mod races;
mod refresh;
mod refresh_faults;
mod refusals;
mod reload;
mod return_to;
mod serving;
mod session_cache;
mod session_list;
mod sessions;
mod sign_in;
mod storage;
mod sweeper;
mod user_api;
mod user_data;
