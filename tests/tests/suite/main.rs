//! End-to-end suites, one module each: the real binary, real sockets, real clients.

mod clients;
mod replies;
