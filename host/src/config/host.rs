//! `portcullis.toml`: the host.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::document::{Document, Faults, beside};
use super::fault::{Fault, Position};
use super::keys::{self, Number};
use super::network::proxies;
use super::reader::{Table, Value};
use super::{
    Authority, CertificateFiles, Config, Listener, ListenerTls, TargetConfig, TenantConfig,
    TlsConfig, limits, observation, process, receipts, resolver, target_table, tenant_file,
    webhook,
};
use crate::address::{Domain, Mailbox};
use crate::decision::{Requirements, Resolved};
use crate::engine::EngineSettings;

/// Largest file of the host in bytes.
pub(super) const MAX_HOST: u64 = 4 << 20;

/// Largest file of a tenant: four times what a thousand policies come to that are as large
/// as the API takes them, so that whatever is in the store can be written there and read
/// again.
pub(super) const MAX_TENANT: u64 = 256 << 20;

/// The port that needs no privileges and is known for SMTP.
const DEFAULT_PORT: u16 = 2525;

const LISTENER_TLS: [(&str, ListenerTls); 3] = [
    ("starttls", ListenerTls::Starttls),
    ("implicit", ListenerTls::Implicit),
    ("none", ListenerTls::None),
];

/// The text of a configuration file.
pub(super) fn text_of(file: &Path, limit: u64) -> Result<String, Fault> {
    let at = Position::file(file);
    let bytes = super::read::read(file, limit).map_err(|error| at.fault(error))?;
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = sound.iter().filter(|byte| **byte == b'\n').count() + 1;
        let at = Position {
            line: Some(line),
            ..at
        };
        at.fault("not UTF-8: save the file in that encoding")
    })
}

/// The whole configuration; `None` only with a fault.
pub(super) fn read(file: &Path, text: &str, faults: &Faults) -> Option<Config> {
    read_with(file, text, faults, tenant_file::read_all)
}

/// The same without tenants.
pub(super) fn read_alone(file: &Path, text: &str, faults: &Faults) -> Option<Config> {
    read_with(file, text, faults, |_, _, _| (Authority::Store, Vec::new()))
}

/// The data directory alone, for those who want to know where a host is whose file may have
/// any other fault; none where the key has one, or may stand below an error of syntax.
pub(super) fn data_dir(file: &Path, text: &str) -> Option<PathBuf> {
    let faults = Faults::default();
    let whole = Document::parse(file, text, &faults);
    let document = Document::parse(file, whole.sound(text), &faults);
    let table = Table::root(&document, &keys::HOST, &faults);
    match table.get("data_dir") {
        Some(value) => value.directory().map(|named| named.value),
        // A word that is not known may be meant for it.
        None if !faults.is_empty() => None,
        None => Some(beside(file, "data")),
    }
}

/// Reads the tenants, given the host's table and the target of those who name none.
type ReadTenants = fn(&Table<'_>, Option<&TargetConfig>, &Faults) -> (Authority, Vec<TenantConfig>);

fn read_with(
    file: &Path,
    text: &str,
    faults: &Faults,
    read_tenants: ReadTenants,
) -> Option<Config> {
    let document = Document::parse(file, text, faults);
    let table = Table::root(&document, &keys::HOST, faults);
    let listeners = listeners(&table);
    let default = default(&table, &listeners);
    let data_dir = directory(&table, "data_dir", || beside(file, "data"));
    let delivery = table.section("delivery", &keys::DELIVERY);
    let maildirs = directory(&delivery, "maildirs", || data_dir.join("mail"));
    let target = target_table::default(&delivery);
    let hostname = match table.get("hostname") {
        Some(value) => value.parsed(),
        None => own_name(),
    };
    let receipts = receipts::receipts(&table.section("receipts", &keys::RECEIPTS));
    let tls = tls(&table);
    let limits = limits::limits(&table.section("limits", &keys::LIMITS));
    let engine = engine(
        &table.section("engine", &keys::ENGINE),
        data_dir.join("modules"),
    );
    let metrics = observation::metrics(&table.section("metrics", &keys::METRICS), &listeners);
    let taken = listeners.iter().map(|listener| listener.address);
    let taken: Vec<_> = taken.chain(metrics).collect();
    let admin = observation::admin(&table.section("admin", &keys::ADMIN), &taken);
    let reverse_names = resolver::reverse_names(&table.section("dns", &keys::DNS));
    let webhooks = webhook::webhooks(&table.section("webhooks", &keys::WEBHOOKS));
    let log = observation::log(&table.section("log", &keys::LOG));
    let process = process::process(&table.section("process", &keys::PROCESS));
    let (authority, tenants) = read_tenants(&table, target.as_ref(), faults);
    Some(Config {
        file: file.into(),
        postmaster: postmaster(&table, hostname.as_ref()?)?,
        hostname: hostname?,
        data_dir,
        listeners,
        tls,
        maildirs,
        limits: limits?,
        engine: engine?,
        default,
        receipts: receipts?,
        metrics,
        admin,
        reverse_names,
        webhooks,
        log,
        process,
        target: target.unwrap_or_default(),
        authority,
        tenants,
    })
}

/// Without one it is the host's own, which a tenant may have.
fn postmaster(table: &Table<'_>, hostname: &Domain) -> Option<Mailbox> {
    match table.get("postmaster") {
        Some(value) => value.parsed(),
        None => format!("postmaster@{hostname}").parse().ok(),
    }
}

fn directory(table: &Table<'_>, key: &str, default: impl FnOnce() -> PathBuf) -> PathBuf {
    let named = table.get(key).and_then(|value| value.directory());
    named.map_or_else(default, |named| named.value)
}

/// The system's host name, where it is one.
fn own_name() -> Option<Domain> {
    let system = rustix::system::uname();
    let named = system.nodename().to_str().ok();
    named
        .and_then(|name| name.parse().ok())
        .or_else(|| "localhost".parse().ok())
}

fn listeners(table: &Table<'_>) -> Vec<Listener> {
    let sections = table.sections("listener", &keys::LISTENER);
    if sections.is_empty() {
        return default_listener(table.at()).into_iter().collect();
    }
    let mut listeners = Vec::new();
    for (index, section) in sections.iter().enumerate() {
        if let Some(listener) = listener(section, index + 1) {
            report_twin(section, &listener, &listeners);
            listeners.push(listener);
        }
    }
    listeners
}

/// Loopback only: a host that nobody configured is nobody's mail server.
fn default_listener(at: Position) -> Option<Listener> {
    Some(Listener {
        name: "smtp".parse().ok()?,
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
        tls: ListenerTls::Starttls,
        ask_client_certificate: true,
        private: false,
        require_tls: false,
        proxies: None,
        greeting_delay: Duration::ZERO,
        at,
    })
}

fn listener(table: &Table<'_>, number: usize) -> Option<Listener> {
    let name = match table.get("name") {
        Some(value) => value.parsed(),
        None => format!("listener-{number}").parse().ok(),
    };
    let address = table.required("address").and_then(|value| address(&value));
    let tls = table.choice("tls", &LISTENER_TLS, ListenerTls::Starttls);
    let private = table.boolean("private", false);
    let require_tls = table.boolean("require_tls", false);
    let proxies = proxies(table, tls);
    if let Some(value) = table.get("require_tls").filter(|_| require_tls) {
        if !private {
            value.fault(
                "a public listener must not require TLS (RFC 3207): set private = true, \
                 or let a tenant's policy enforce it",
            );
        }
        let by_proxy = proxies.as_ref().is_some_and(|proxies| proxies.trust_tls);
        if tls == ListenerTls::None && !by_proxy {
            value.fault("a listener without TLS cannot require it: set tls = \"starttls\"");
        }
    }
    Some(Listener {
        ask_client_certificate: table.boolean("ask_client_certificate", true),
        proxies,
        greeting_delay: Duration::from_millis(table.number(&keys::GREETING_DELAY)),
        name: name?,
        address: address?,
        tls,
        private,
        require_tls,
        at: table.at(),
    })
}

pub(super) fn address(value: &Value<'_>) -> Option<SocketAddr> {
    let text = value.text()?;
    let parsed = text.parse().ok();
    if parsed.is_none() {
        value.fault(format_args!(
            "{text:?} is not an address and port: write \"192.0.2.1:25\" or \"[2001:db8::1]:25\""
        ));
    }
    parsed
}

fn report_twin(section: &Table<'_>, listener: &Listener, earlier: &[Listener]) {
    if let Some(twin) = earlier.iter().find(|other| other.name == listener.name) {
        let message = format!("the name {:?} is that of {} already", twin.name, twin.at);
        section.report("name", message);
    }
    let same = |other: &&Listener| other.address == listener.address && other.address.port() != 0;
    if let Some(twin) = earlier.iter().find(same) {
        let message = format!("{} is the address of {} already", twin.address, twin.at);
        section.report("address", message);
    }
}

/// Enforcement on a public listener is a tenant's policy, never the host's default.
fn default(table: &Table<'_>, listeners: &[Listener]) -> Resolved {
    let section = table.section("defaults", &keys::HOST_DEFAULTS);
    let public = listeners.iter().find(|listener| !listener.private);
    let value = section.get("decision");
    let enforced = value.as_ref().and_then(|value| value.choice(&DEFAULTS));
    match (value, enforced, public) {
        (Some(value), Some(true), Some(public)) => {
            value.fault(format_args!(
                "the host must not enforce TLS on the public listener {:?} (RFC 3207): \
                 set the default of each tenant instead, or private = true for every listener",
                public.name
            ));
            Resolved::Opportunistic
        }
        (_, Some(true), None) => Resolved::Enforced(Requirements::default()),
        _ => Resolved::Opportunistic,
    }
}

/// What Default may mean: whether it enforces.
pub(super) const DEFAULTS: [(&str, bool); 2] = [("opportunistic", false), ("enforced", true)];

fn tls(table: &Table<'_>) -> TlsConfig {
    let section = table.section("tls", &keys::TLS);
    let roots = section
        .get("public_roots")
        .filter(|value| value.node().as_str() != Some("bundled"));
    TlsConfig {
        public_roots: roots.and_then(|value| value.path(super::MAX_PEM)),
        certificates: section
            .sections("certificate", &keys::CERTIFICATE)
            .iter()
            .filter_map(certificate)
            .collect(),
    }
}

pub(super) fn certificate(table: &Table<'_>) -> Option<CertificateFiles> {
    let file = |key| {
        table
            .required(key)
            .and_then(|value| value.path(super::MAX_PEM))
    };
    let (chain, key) = (file("chain"), file("key"));
    Some(CertificateFiles {
        chain: chain?,
        key: key?,
    })
}

fn engine(table: &Table<'_>, cache: PathBuf) -> Option<EngineSettings> {
    let memory = usize::try_from(table.number(&keys::MEMORY)).ok();
    let instances = u32::try_from(table.number(&keys::INSTANCES)).ok();
    let module_size = usize::try_from(table.number(&keys::MODULE_SIZE)).ok();
    let mut settings = EngineSettings::new(cache);
    settings.fuel = table.number(&keys::FUEL);
    settings.deadline = Duration::from_millis(table.number(&keys::DEADLINE));
    settings.wait = Duration::from_millis(table.number(&keys::WAIT));
    settings.compile_time = seconds(table, &keys::COMPILE_TIME);
    settings.compile_memory = table.number(&keys::COMPILE_MEMORY);
    settings.memory = memory?;
    settings.instances = instances?;
    settings.module_size = module_size?;
    Some(settings)
}

pub(super) fn seconds(table: &Table<'_>, number: &Number) -> Duration {
    Duration::from_secs(table.number(number))
}

/// Domains of all tenants so far, and where each is written.
pub(super) type Domains = BTreeMap<Domain, Position>;
