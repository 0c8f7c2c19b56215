//! The admin API: what tenants are, what their mail met, and who may ask.
//!
//! HTTP on a socket in the data directory, whose owner is an operator, and on an address,
//! with TLS or of loopback, where everybody needs a token. **Who may do what is one table**
//! (`access`), asked before any handler: a request without a row in it goes nowhere.
//! **What is another tenant's is not there**: it gets the answer that nothing gets.
//! It reads the store, the snapshot and receipts, and is never on the way of a message.
//!
//! Read in this order: `server` (connections), `access` and `guard` (who), `routes`
//! (what), `problem` (every error). HTTP stops here.

mod access;
mod activation;
mod apply;
mod audit;
mod bodies;
mod changes;
mod compiling;
mod count;
mod dry_runs;
mod erasures;
mod explanations;
mod guard;
mod input;
mod lists;
mod modules;
mod node;
mod openapi;
mod page;
mod patience;
mod policies;
mod problem;
mod rate;
mod receipts;
mod reload;
mod replays;
mod reports;
mod reruns;
mod routes;
mod server;
mod shadows;
mod shapes;
mod tenants;
mod tls;
mod tokens;
mod turns;
mod uploads;
mod warnings;
mod webhooks;

use std::sync::Arc;

use tokio::sync::{Notify, Semaphore};
use tokio_util::task::TaskTracker;

pub use openapi::description;
pub use server::{Admin, BindError, Doors, SOCKET};
pub use tls::AdminTls;

use bodies::Bodies;
use compiling::Compiling;
use rate::Rate;
use turns::Turns;

use crate::engine::Module;
use crate::host::Host;
use crate::receipt::source::Source;
use crate::replay::Replays;
use crate::server::Reloader;
use crate::uploads::Uploads;

/// Whom the API asks.
#[derive(Clone)]
pub struct Rooms {
    /// What is in force, and what is kept.
    pub host: Arc<Host>,
    /// Changes tenants.
    pub reloader: Arc<Reloader>,
    /// Takes modules.
    pub uploads: Arc<Uploads>,
    /// Asks changes about the mail of the past.
    pub replays: Replays,
    /// Has it looked for warnings now.
    pub look: Arc<Notify>,
}

/// What handlers have.
#[derive(Clone)]
struct Api {
    host: Arc<Host>,
    /// Changes tenants.
    reloader: Arc<Reloader>,
    /// Changes that are under way: they are not broken off.
    changes: TaskTracker,
    /// Places for them, since those whose client is gone are bounded by nothing else.
    places: Arc<Semaphore>,
    /// Bounds the memory for what is sent.
    bodies: Bodies,
    /// Takes modules.
    uploads: Arc<Uploads>,
    /// Those of a tenant are run one at a time.
    dry_runs: Turns,
    /// So are reports made.
    reports: Turns,
    /// Has it looked for warnings now.
    look: Arc<Notify>,
    /// Replays under way, and those that have ended.
    replays: Replays,
    /// What has to be compiled before it can be done.
    compiling: Compiling<Arc<Module>>,
    /// Where receipts are.
    receipts: Source,
    /// Who looks for receipts may read much: one at a time, so that administrators do not
    /// take the disk from mail.
    reading: Arc<Semaphore>,
    /// Whether receipts are in day files, too.
    has_day_files: bool,
    /// Bounds what tenants change.
    rate: Arc<Rate>,
    /// One address is erased at a time.
    erasing: Arc<Semaphore>,
    /// The description of this API, as JSON.
    description: Arc<str>,
}
