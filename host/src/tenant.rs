//! Tenants.

pub mod lists;
