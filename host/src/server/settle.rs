//! What a running host can take of a new configuration, and what waits for a restart.
//!
//! **What can be taken is taken, and what waits is named**: a tenant that is added
//! beside a new listener is served at once, and the operator is told that the listener
//! is not. What waits keeps the value that is in force, so that no part of the host
//! sees half of a change.

use crate::config::{Config, Limits, Listener, Located, ProcessConfig, ReceiptsConfig};
use crate::decision::Resolved;
use crate::engine::EngineSettings;

/// A configuration that a running host can take.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) config: Config,
    /// Keys whose new value waits for a restart.
    pub(super) waiting: Vec<&'static str>,
}

/// Takes of `new` what can be taken while the host runs on `running`.
pub(super) fn settle(mut new: Config, running: &Config) -> Settled {
    let mut waiting = Waiting::default();
    if waiting.keep("hostname", &mut new.hostname, &running.hostname) {
        // Its default is made of the name.
        waiting.keep("postmaster", &mut new.postmaster, &running.postmaster);
    }
    if waiting.keep("data_dir", &mut new.data_dir, &running.data_dir) {
        // Their default is in there.
        waiting.keep("delivery.maildirs", &mut new.maildirs, &running.maildirs);
        new.engine.cache.clone_from(&running.engine.cache);
    }
    if !same_places(&new.listeners, &running.listeners) {
        waiting.0.push("listener");
        new.listeners.clone_from(&running.listeners);
    }
    if enforces_in_public(&new) {
        waiting.keep("defaults.decision", &mut new.default, &running.default);
    }
    limits(&mut new.limits, &running.limits, &mut waiting);
    engine(&mut new.engine, &running.engine, &mut waiting);
    receipts(&mut new.receipts, &running.receipts, &mut waiting);
    waiting.keep("metrics.address", &mut new.metrics, &running.metrics);
    admin(&mut new, running, &mut waiting);
    dns(&mut new, running, &mut waiting);
    webhooks(&mut new, running, &mut waiting);
    waiting.keep("log.format", &mut new.log.format, &running.log.format);
    process(&mut new.process, &running.process, &mut waiting);
    Settled {
        config: new,
        waiting: waiting.0,
    }
}

/// Whether the same sockets serve both, in whatever order. All else of a listener can
/// be taken.
fn same_places(new: &[Listener], running: &[Listener]) -> bool {
    let place = |listener: &Listener| (listener.name.clone(), listener.address);
    let bound: Vec<_> = running.iter().map(place).collect();
    new.len() == running.len() && new.iter().all(|listener| bound.contains(&place(listener)))
}

/// The configuration that was read does not, but what waits of it may (RFC 3207).
fn enforces_in_public(config: &Config) -> bool {
    let public = config.listeners.iter().any(|listener| !listener.private);
    public && matches!(config.default, Resolved::Enforced(_))
}

/// Taken apart, so that whoever adds a limit says here whether it has to wait.
fn limits(new: &mut Limits, running: &Limits, waiting: &mut Waiting) {
    let Limits {
        content_memory,
        sessions,
        client_sessions,
        network_sessions,
        client_session_rate,
        client_handshake_rate,
        exempt,
        // Sessions begin with these.
        message_size: _,
        recipients: _,
        errors: _,
        command_timeout: _,
        data_timeout: _,
        handshake_timeout: _,
        // Asked for when the host stops.
        grace: _,
    } = new;
    let key = "limits.content_memory";
    waiting.keep(key, content_memory, &running.content_memory);
    waiting.keep("limits.sessions", sessions, &running.sessions);
    let key = "limits.client_sessions";
    waiting.keep(key, client_sessions, &running.client_sessions);
    let key = "limits.network_sessions";
    waiting.keep(key, network_sessions, &running.network_sessions);
    let key = "limits.client_session_rate";
    waiting.keep(key, client_session_rate, &running.client_session_rate);
    let key = "limits.client_handshake_rate";
    waiting.keep(key, client_handshake_rate, &running.client_handshake_rate);
    waiting.keep("limits.exempt", exempt, &running.exempt);
}

/// The journal is set up at the start.
fn receipts(new: &mut ReceiptsConfig, running: &ReceiptsConfig, waiting: &mut Waiting) {
    let ReceiptsConfig {
        store,
        files,
        keep_days,
    } = new;
    waiting.keep("receipts.store", store, &running.store);
    waiting.keep("receipts.files", files, &running.files);
    waiting.keep("receipts.keep_days", keep_days, &running.keep_days);
}

/// Its socket is bound at the start, and speaks TLS or does not. What is in the files of its
/// certificate is another matter.
fn admin(new: &mut Config, running: &Config, waiting: &mut Waiting) {
    let address = |config: &Config| config.admin.as_ref().map(|admin| admin.address);
    let tls = |config: &Config| {
        let files = config.admin.as_ref()?.tls.as_ref()?;
        Some((files.chain.value.clone(), files.key.value.clone()))
    };
    if address(new) != address(running) {
        waiting.0.push("admin.address");
    }
    if tls(new) != tls(running) {
        waiting.0.push("admin.tls");
    }
    new.admin.clone_from(&running.admin);
}

/// The resolver is set up at the start. Where it is written does not matter.
fn dns(new: &mut Config, running: &Config, waiting: &mut Waiting) {
    let settings = |config: &Config| config.reverse_names.as_ref().map(|dns| dns.value.clone());
    if settings(new) != settings(running) {
        waiting.0.push("dns");
    }
    new.reverse_names.clone_from(&running.reverse_names);
}

/// What sends to webhooks is set up at the start.
fn webhooks(new: &mut Config, running: &Config, waiting: &mut Waiting) {
    waiting.keep("webhooks", &mut new.webhooks, &running.webhooks);
}

/// Who has given up the rights of root cannot become somebody else.
fn process(new: &mut ProcessConfig, running: &ProcessConfig, waiting: &mut Waiting) {
    let name = |named: &Option<Located<String>>| named.as_ref().map(|named| named.value.clone());
    let ProcessConfig { user, group } = new;
    for (key, new, running) in [
        ("process.user", user, &running.user),
        ("process.group", group, &running.group),
    ] {
        if name(new) != name(running) {
            waiting.0.push(key);
        }
        new.clone_from(running);
    }
}

/// All of it: the memory of all instances is reserved at the start, and modules are
/// compiled for it.
fn engine(new: &mut EngineSettings, running: &EngineSettings, waiting: &mut Waiting) {
    let EngineSettings {
        fuel,
        deadline,
        memory,
        instances,
        wait,
        module_size,
        compile_time,
        compile_memory,
        // Not of the file: where the program is, and what `data_dir` says.
        worker: _,
        cache: _,
    } = new;
    waiting.keep("engine.fuel", fuel, &running.fuel);
    waiting.keep("engine.deadline_ms", deadline, &running.deadline);
    waiting.keep("engine.memory", memory, &running.memory);
    waiting.keep("engine.instances", instances, &running.instances);
    waiting.keep("engine.wait_ms", wait, &running.wait);
    waiting.keep("engine.module_size", module_size, &running.module_size);
    waiting.keep("engine.compile_time_s", compile_time, &running.compile_time);
    let key = "engine.compile_memory";
    waiting.keep(key, compile_memory, &running.compile_memory);
}

#[derive(Default)]
struct Waiting(Vec<&'static str>);

impl Waiting {
    /// Keeps what is in force; true when that is something else.
    fn keep<T: Clone + PartialEq>(&mut self, key: &'static str, new: &mut T, running: &T) -> bool {
        let differs = new != running;
        if differs {
            new.clone_from(running);
            self.0.push(key);
        }
        differs
    }
}

#[cfg(test)]
mod tests;
