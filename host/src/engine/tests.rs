//! Guests made by hand, and what becomes of them. Everything but the compile worker's
//! process, which the suite in `tests/` starts.

mod admission;
mod caching;
mod guest;
mod interface;
mod kept;
mod monitored;
mod names;
mod replayed;
mod running;
mod slow;
mod traced;
