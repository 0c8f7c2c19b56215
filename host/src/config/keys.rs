//! Every key there is: what the reader accepts, and what `docs/configuration.md` must
//! describe (a test compares the two).

/// The keys of one kind of table.
#[derive(Debug)]
pub(super) struct Schema {
    /// As in the headings of the documentation.
    pub(super) name: &'static str,
    /// Its keys.
    pub(super) keys: &'static [&'static str],
}

/// A number that may be set, whole and within a range.
#[derive(Debug)]
pub(super) struct Number {
    pub(super) key: &'static str,
    pub(super) default: u64,
    pub(super) min: u64,
    pub(super) max: u64,
}

const fn number(key: &'static str, default: u64, min: u64, max: u64) -> Number {
    Number {
        key,
        default,
        min,
        max,
    }
}

pub(super) const HOST: Schema = Schema {
    name: "portcullis.toml",
    keys: &[
        "hostname",
        "postmaster",
        "data_dir",
        "tenants",
        "listener",
        "tls",
        "delivery",
        "limits",
        "engine",
        "defaults",
        "receipts",
        "metrics",
        "admin",
        "dns",
        "webhooks",
        "log",
        "process",
    ],
};
pub(super) const LISTENER: Schema = Schema {
    name: "[[listener]]",
    keys: &[
        "name",
        "address",
        "tls",
        "ask_client_certificate",
        "private",
        "require_tls",
        "proxy_from",
        "trust_proxy_tls",
        "greeting_delay_ms",
    ],
};
pub(super) const TLS: Schema = Schema {
    name: "[tls]",
    keys: &["public_roots", "certificate"],
};
pub(super) const CERTIFICATE: Schema = Schema {
    name: "[[tls.certificate]]",
    keys: &["chain", "key"],
};
pub(super) const DELIVERY: Schema = Schema {
    name: "[delivery]",
    keys: &[
        "maildirs",
        "kind",
        "address",
        "tls",
        "name",
        "anchors",
        CONNECTIONS.key,
        KEEP_IDLE.key,
        CONNECT_TIMEOUT.key,
        REPLY_TIMEOUT.key,
        DELIVERY_TIMEOUT.key,
    ],
};
pub(super) const LIMITS: Schema = Schema {
    name: "[limits]",
    keys: &[
        MESSAGE_SIZE.key,
        CONTENT_MEMORY.key,
        RECIPIENTS.key,
        SESSIONS.key,
        CLIENT_SESSIONS.key,
        NETWORK_SESSIONS.key,
        CLIENT_SESSION_RATE.key,
        CLIENT_HANDSHAKE_RATE.key,
        "exempt",
        ERRORS.key,
        COMMAND_TIMEOUT.key,
        DATA_TIMEOUT.key,
        HANDSHAKE_TIMEOUT.key,
        GRACE.key,
    ],
};
pub(super) const ENGINE: Schema = Schema {
    name: "[engine]",
    keys: &[
        FUEL.key,
        DEADLINE.key,
        MEMORY.key,
        INSTANCES.key,
        WAIT.key,
        MODULE_SIZE.key,
        COMPILE_TIME.key,
        COMPILE_MEMORY.key,
    ],
};
pub(super) const HOST_DEFAULTS: Schema = Schema {
    name: "[defaults]",
    keys: &["decision"],
};
pub(super) const RECEIPTS: Schema = Schema {
    name: "[receipts]",
    keys: &["store", "files", KEEP_DAYS.key],
};
pub(super) const METRICS: Schema = Schema {
    name: "[metrics]",
    keys: &["address", "allow_remote"],
};
pub(super) const ADMIN: Schema = Schema {
    name: "[admin]",
    keys: &["address", "tls"],
};
pub(super) const ADMIN_TLS: Schema = Schema {
    name: "[admin.tls]",
    keys: &["chain", "key"],
};
pub(super) const DNS: Schema = Schema {
    name: "[dns]",
    keys: &["reverse_names", "servers", DNS_TIMEOUT.key],
};
pub(super) const WEBHOOKS: Schema = Schema {
    name: "[webhooks]",
    keys: &["allow", "allow_http"],
};
pub(super) const LOG: Schema = Schema {
    name: "[log]",
    keys: &["format", "level"],
};
pub(super) const PROCESS: Schema = Schema {
    name: "[process]",
    keys: &["user", "group"],
};

pub(super) const TENANT: Schema = Schema {
    name: "tenants/ID.toml",
    keys: &[
        "domains", "contact", "defaults", "exempt", "sources", "targets", "trust", "lists",
        "module", "policy", "quotas", "webhook",
    ],
};
pub(super) const QUOTAS: Schema = Schema {
    name: "[quotas]",
    keys: &[
        MODULES.key,
        MODULE_REVISIONS.key,
        MODULE_BYTES.key,
        LIST_ENTRIES.key,
        POLICIES.key,
        RECEIPT_COUNT.key,
        RECEIPT_DAYS.key,
    ],
};
pub(super) const WEBHOOK: Schema = Schema {
    name: "[webhook]",
    keys: &["url", "kinds"],
};
pub(super) const SOURCES: Schema = Schema {
    name: "[sources]",
    keys: &["networks", "certificate"],
};
pub(super) const SOURCE_CERTIFICATE: Schema = Schema {
    name: "[[sources.certificate]]",
    keys: &["names", "pins"],
};
pub(super) const TARGETS: Schema = Schema {
    name: "[targets]",
    keys: &["inbound", "outbound"],
};
pub(super) const INBOUND: Schema = Schema {
    name: "[targets.inbound]",
    keys: &[
        "kind",
        "address",
        "tls",
        "name",
        "anchors",
        CONNECTIONS.key,
        KEEP_IDLE.key,
        CONNECT_TIMEOUT.key,
        REPLY_TIMEOUT.key,
        DELIVERY_TIMEOUT.key,
    ],
};
pub(super) const OUTBOUND: Schema = Schema {
    name: "[targets.outbound]",
    keys: &[
        "kind",
        "address",
        "tls",
        "name",
        "anchors",
        CONNECTIONS.key,
        KEEP_IDLE.key,
        CONNECT_TIMEOUT.key,
        REPLY_TIMEOUT.key,
        DELIVERY_TIMEOUT.key,
    ],
};
pub(super) const TENANT_DEFAULTS: Schema = Schema {
    name: "[defaults] of a tenant",
    keys: &["decision", "on_failure"],
};
pub(super) const EXEMPT: Schema = Schema {
    name: "[exempt]",
    keys: &["postmaster", "tls_reports"],
};
pub(super) const TRUST: Schema = Schema {
    name: "[trust]",
    keys: &["anchors", "crls", "pins", "self_signed", "public_roots"],
};
pub(super) const LIST: Schema = Schema {
    name: "[lists.NAME]",
    keys: &["entries", "file"],
};
pub(super) const MODULE: Schema = Schema {
    name: "[[module]]",
    keys: &["name", "path", "pinned"],
};
pub(super) const POLICY: Schema = Schema {
    name: "[[policy]]",
    keys: &[
        "name",
        "narrative",
        "direction",
        "from",
        "to",
        "based_on",
        "bidirectional",
        "sources",
        "enabled",
        "valid_from",
        "valid_until",
        "override",
        "mode",
        "ramp",
        "option",
        "require",
        "module",
        "revision",
        "settings",
        "on_failure",
        "contact",
    ],
};
pub(super) const RAMP: Schema = Schema {
    name: "ramp",
    keys: &["start", "end", "halt_above", "halted", "resumed"],
};
pub(super) const REQUIRE: Schema = Schema {
    name: "require",
    keys: &[
        "tls",
        "post_quantum",
        "certificate",
        "covers",
        "within",
        "pins",
    ],
};

/// Keys that the tenant chooses; what they must be is said where they are read.
pub(super) const NAMES: Schema = Schema {
    name: "names",
    keys: &[],
};
/// Keys that the module chooses.
pub(super) const SETTINGS: Schema = Schema {
    name: "settings",
    keys: &[],
};

/// Long enough to catch clients that talk before they are greeted, short enough for
/// every client's patience (RFC 5321, section 4.5.3.2.1: five minutes).
pub(super) const GREETING_DELAY: Number = number("greeting_delay_ms", 0, 0, 10_000);

/// At least 64K octets (RFC 5321, section 4.5.3.1.7).
pub(super) const MESSAGE_SIZE: Number = number("message_size", 25 << 20, 64 << 10, 1 << 30);
/// What 256 sessions need at a time, if all their messages are large.
pub(super) const CONTENT_MEMORY: Number = number("content_memory", 256 << 20, 1 << 20, 1 << 40);
/// At least 100 (RFC 5321, section 4.5.3.1.8).
pub(super) const RECIPIENTS: Number = number("recipients", 1000, 100, 100_000);
/// Ten times what a busy mail server has. A session that waits costs some tens of
/// kilobytes, one that does its worst a tenth of a megabyte, beside what has limits of
/// its own: 200 MB for all.
pub(super) const SESSIONS: Number = number("sessions", 2000, 1, 100_000);
/// Senders open twenty or so to one server (Postfix's default), and large ones some more.
pub(super) const CLIENT_SESSIONS: Number = number("client_sessions", 50, 1, 100_000);
/// A tenth of all: a large sender's network has many servers.
pub(super) const NETWORK_SESSIONS: Number = number("network_sessions", 200, 1, 100_000);
/// A sender with a message each tenth of a second has many for this server, and can
/// send several in one session.
pub(super) const CLIENT_SESSION_RATE: Number = number("client_session_rate", 10, 1, 10_000);
/// As many as sessions, for each may have one.
pub(super) const CLIENT_HANDSHAKE_RATE: Number = number("client_handshake_rate", 10, 1, 10_000);
pub(super) const ERRORS: Number = number("errors", 10, 1, 1000);
/// Five minutes (RFC 5321, section 4.5.3.2.7).
pub(super) const COMMAND_TIMEOUT: Number = number("command_timeout_s", 300, 1, 3600);
/// Three minutes between blocks (RFC 5321, section 4.5.3.2.5, says so to clients).
pub(super) const DATA_TIMEOUT: Number = number("data_timeout_s", 180, 1, 3600);
pub(super) const HANDSHAKE_TIMEOUT: Number = number("handshake_timeout_s", 30, 1, 600);
/// A message of ordinary size takes seconds, and service managers wait 90.
pub(super) const GRACE: Number = number("grace_s", 30, 0, 3600);

/// What mail servers allow one client without asking.
pub(super) const CONNECTIONS: Number = number("connections", 20, 1, 1000);
/// Next hops wait five minutes for a command (RFC 5321, section 4.5.3.2.7).
pub(super) const KEEP_IDLE: Number = number("keep_idle_s", 60, 0, 300);
/// With the two below less than the five minutes that clients wait for the reply to
/// RCPT (RFC 5321, section 4.5.3.2.3).
pub(super) const CONNECT_TIMEOUT: Number = number("connect_timeout_s", 30, 1, 120);
pub(super) const REPLY_TIMEOUT: Number = number("reply_timeout_s", 60, 1, 120);
/// Clients wait ten minutes for the reply to the end of data (section 4.5.3.2.6), and
/// what has to come before takes its time, too.
pub(super) const DELIVERY_TIMEOUT: Number = number("delivery_timeout_s", 300, 1, 480);

// The reasons of these defaults stand at `EngineSettings`.
pub(super) const FUEL: Number = number("fuel", 10_000_000, 10_000, 10_000_000_000);
pub(super) const DEADLINE: Number = number("deadline_ms", 100, 10, 10_000);
pub(super) const MEMORY: Number = number("memory", 16 << 20, 1 << 20, 256 << 20);
pub(super) const INSTANCES: Number = number("instances", 64, 1, 1000);
pub(super) const WAIT: Number = number("wait_ms", 500, 0, 60_000);
pub(super) const MODULE_SIZE: Number = number("module_size", 16 << 20, 64 << 10, 256 << 20);
pub(super) const COMPILE_TIME: Number = number("compile_time_s", 10, 1, 300);
pub(super) const COMPILE_MEMORY: Number = number("compile_memory", 1 << 30, 512 << 20, 16 << 30);

/// Long enough for servers at the other end of the world; the first recipient waits so
/// long for a name that does not come.
pub(super) const DNS_TIMEOUT: Number = number("timeout_ms", 3000, 100, 30_000);

/// A tenant has a handful; each is compiled and held in memory.
pub(super) const MODULES: Number = number("modules", 100, 0, 10_000);
/// Enough to go back by some weeks of work on a module.
pub(super) const MODULE_REVISIONS: Number = number("module_revisions", 20, 1, 1_000);
/// A hundred revisions of an embedded interpreter, or thousands of what people write.
pub(super) const MODULE_BYTES: Number = number("module_bytes", 256 << 20, 64 << 10, 1 << 40);
/// Ten lists of the largest size: a hundred megabytes or so.
pub(super) const LIST_ENTRIES: Number = number("list_entries", 1_000_000, 0, 100_000_000);
/// All of them are looked at for each recipient.
pub(super) const POLICIES: Number = number("policies", 1_000, 0, 100_000);

/// Per cent of the mail in a policy's scope: nobody's, unless it is said.
pub(super) const HALT_ABOVE: Number = number("halt_above", 0, 0, 100);

/// What hosted gateways keep, and at most ten years.
pub(super) const KEEP_DAYS: Number = number("keep_days", 90, 1, 3650);
/// The same of one tenant; its default is the host's.
pub(super) const RECEIPT_DAYS: Number = number("receipt_days", 0, 1, 3650);
/// Ten thousand messages a day for the time that they are kept: some three gigabytes.
pub(super) const RECEIPT_COUNT: Number = number("receipt_count", 1_000_000, 1_000, 1_000_000_000);

/// All tables, in the order of the documentation.
#[cfg(test)]
pub(super) const SCHEMAS: [&Schema; 32] = [
    &HOST,
    &LISTENER,
    &TLS,
    &CERTIFICATE,
    &DELIVERY,
    &LIMITS,
    &ENGINE,
    &HOST_DEFAULTS,
    &RECEIPTS,
    &METRICS,
    &ADMIN,
    &ADMIN_TLS,
    &DNS,
    &WEBHOOKS,
    &LOG,
    &PROCESS,
    &TENANT,
    &TENANT_DEFAULTS,
    &EXEMPT,
    &WEBHOOK,
    &SOURCES,
    &SOURCE_CERTIFICATE,
    &QUOTAS,
    &TARGETS,
    &INBOUND,
    &OUTBOUND,
    &TRUST,
    &LIST,
    &MODULE,
    &POLICY,
    &RAMP,
    &REQUIRE,
];

/// All numbers.
#[cfg(test)]
pub(super) const NUMBERS: [&Number; 35] = [
    &GREETING_DELAY,
    &MESSAGE_SIZE,
    &CONTENT_MEMORY,
    &RECIPIENTS,
    &SESSIONS,
    &CLIENT_SESSIONS,
    &NETWORK_SESSIONS,
    &CLIENT_SESSION_RATE,
    &CLIENT_HANDSHAKE_RATE,
    &ERRORS,
    &COMMAND_TIMEOUT,
    &DATA_TIMEOUT,
    &HANDSHAKE_TIMEOUT,
    &GRACE,
    &CONNECTIONS,
    &KEEP_IDLE,
    &CONNECT_TIMEOUT,
    &REPLY_TIMEOUT,
    &DELIVERY_TIMEOUT,
    &FUEL,
    &DEADLINE,
    &MEMORY,
    &INSTANCES,
    &WAIT,
    &MODULE_SIZE,
    &COMPILE_TIME,
    &COMPILE_MEMORY,
    &MODULES,
    &MODULE_REVISIONS,
    &MODULE_BYTES,
    &LIST_ENTRIES,
    &POLICIES,
    &RECEIPT_COUNT,
    &KEEP_DAYS,
    &DNS_TIMEOUT,
];

/// The keys of the table of this name, for what describes them elsewhere.
#[cfg(test)]
pub(crate) fn written_keys(table: &str) -> &'static [&'static str] {
    let mut schemas = SCHEMAS.iter();
    let schema = schemas.find(|schema| schema.name == table);
    schema.expect("there is such a table").keys
}

/// The least and the greatest value of the number of this name.
#[cfg(test)]
pub(crate) fn range(key: &str) -> (u64, u64) {
    // Its default is the host's, so that it stands apart.
    let mut numbers = NUMBERS.iter().chain(&[&RECEIPT_DAYS, &HALT_ABOVE]);
    let number = numbers.find(|number| number.key == key);
    let number = number.expect("there is such a number");
    (number.min, number.max)
}
