//! What is a tenant's own, and what operators write of it.

use utoipa::ToSchema;

use super::policy::OnFailure;
use super::texts::{Address, DomainName, Network, Sha256};

/// What the tenant writes, as in its file.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"contact": "https://acme.example/mail"}))]
pub(in crate::admin) struct OwnKeys {
    /// Added to every refusal.
    #[serde(default)]
    #[schema(pattern = "^[ -~]*[!-~][ -~]*$", max_length = 200)]
    contact: String,
    #[serde(default)]
    defaults: TenantDefaults,
    #[serde(default)]
    exempt: ExemptRecipients,
    #[serde(default)]
    trust: Trust,
    /// Who is told of warnings.
    webhook: Option<WebhookKeys>,
}

/// Where warnings are sent.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct WebhookKeys {
    /// `https`, and `http` where the operator allows it.
    #[schema(max_length = 2000, pattern = "^https?://")]
    url: String,
    /// Kinds of warnings; all unless it is said.
    #[serde(default)]
    kinds: Vec<WebhookKind>,
}

/// What a warning is about.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
enum WebhookKind {
    CertificateExpires,
    SinglePin,
    NeverMet,
    BeganToFail,
}

/// What is so where no policy says otherwise.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct TenantDefaults {
    /// What Default means; what it means to the host unless it is said.
    #[serde(default)]
    decision: Resolved,
    /// What it means when a module fails.
    #[serde(default)]
    on_failure: OnFailure,
}

/// Recipients whom no policy is asked about.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct ExemptRecipients {
    /// `postmaster` of each domain, as it is unless it is said.
    #[serde(default)]
    postmaster: bool,
    /// Where reports about TLS arrive, in the tenant's domains.
    #[serde(default)]
    tls_reports: Vec<Address>,
}

/// Which client certificates are trusted.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Trust {
    /// Trust anchors in PEM.
    #[serde(default)]
    anchors: Vec<String>,
    /// Certificate revocation lists in PEM.
    #[serde(default)]
    crls: Vec<String>,
    /// Public keys that are trusted whoever vouches for them.
    #[serde(default)]
    pins: Vec<Sha256>,
    /// Whether self-signed certificates with other keys are.
    #[serde(default)]
    self_signed: SelfSigned,
    /// Whether the public authorities are, as they are unless it is said.
    #[serde(default)]
    public_roots: bool,
}

/// What operators write of a tenant, as in its file.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quotas": {"policies": 100}}))]
pub(in crate::admin) struct OperatorKeys {
    #[serde(default)]
    sources: Sources,
    #[serde(default)]
    targets: Targets,
    #[serde(default)]
    quotas: Quotas,
}

/// How the tenant's own servers are recognised.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Sources {
    /// Their addresses.
    #[serde(default)]
    networks: Vec<Network>,
    /// Their client certificates.
    #[serde(default)]
    certificate: Vec<SourceCertificate>,
}

/// A client certificate of a tenant's server: one of the two.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct SourceCertificate {
    /// It is for one of these.
    #[serde(default)]
    names: Vec<DomainName>,
    /// Its public key is one of these.
    #[serde(default)]
    pins: Vec<Sha256>,
}

/// Where mail goes.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Targets {
    /// Mail to the tenant's domains.
    #[serde(default)]
    inbound: Target,
    /// Mail from the tenant's servers to others.
    #[serde(default)]
    outbound: Target,
}

/// A maildir, or a next hop.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: TargetKind,
    /// Where a next hop listens: `unix:PATH` or `HOST:PORT`.
    #[serde(default)]
    #[schema(pattern = "^(unix:/.+|.+:[0-9]+)$")]
    address: String,
    /// STARTTLS towards it.
    #[serde(default)]
    tls: TargetTls,
    /// The name that its certificate must have. Only with `verified`.
    #[serde(default)]
    name: DomainName,
    /// Authorities whose word counts for it, in PEM. Only with `verified`.
    #[serde(default)]
    anchors: Vec<String>,
    /// Most connections to it at one time.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000)]
    connections: u64,
    /// Seconds for which a connection is kept for the next message.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 300)]
    keep_idle_s: u64,
    /// Longest wait in seconds for a connection, up to TLS.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 120)]
    connect_timeout_s: u64,
    /// Longest wait in seconds for each reply.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 120)]
    reply_timeout_s: u64,
    /// Longest wait in seconds for the replies to the message.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 480)]
    delivery_timeout_s: u64,
}

/// How much the tenant may keep.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Quotas {
    /// Most modules.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 10_000)]
    modules: u64,
    /// Revisions of each module that are kept.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000)]
    module_revisions: u64,
    /// Most bytes of all revisions of all modules together.
    #[serde(default)]
    #[schema(minimum = 65_536, maximum = 1_099_511_627_776_u64)]
    module_bytes: u64,
    /// Most entries of all lists together.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100_000_000)]
    list_entries: u64,
    /// Most policies.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 100_000)]
    policies: u64,
    /// Most receipts that are kept.
    #[serde(default)]
    #[schema(minimum = 1_000, maximum = 1_000_000_000)]
    receipt_count: u64,
    /// Days for which they are kept; those of the host unless it is said.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 3_650)]
    receipt_days: u64,
}

/// What Default means.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Resolved {
    Opportunistic,
    Enforced,
}

/// Whether self-signed certificates are trusted whose keys are not named.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
enum SelfSigned {
    Refuse,
    AcceptPinned,
    Accept,
}

/// Of which kind a target is.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum TargetKind {
    Maildir,
    Lmtp,
    Smtp,
    Discard,
}

/// STARTTLS towards a next hop.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum TargetTls {
    None,
    Opportunistic,
    Verified,
}
