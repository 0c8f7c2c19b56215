//! End-to-end suites, one module each: the real binary, real sockets, real clients.

mod check;
mod chunks;
mod clients;
mod delivery;
mod demo;
mod dependencies;
mod engine;
mod faults;
mod handshakes;
mod hop_faults;
mod hop_tls;
mod limits;
mod load;
mod metrics;
mod modules;
mod names;
mod next_hops;
mod peers;
mod policies;
mod proxy;
mod readme;
mod reload;
mod replies;
mod service;
mod tenants;
mod wire;
