//! `[[policy]]`.

use serde_json::{Value, json};
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder};
use utoipa::openapi::{RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::texts::{DomainName, NameText, Network, Sha256, Time, Whose};

/// A policy: the keys of `[[policy]]` in a file, without the name.
pub(in crate::admin) struct PolicyKeys;

/// Options, and the keys that only these have.
const OPTIONS: [(&[&str], &[&str]); 3] = [
    (&["default", "opportunistic"], &[]),
    (&["enforced"], &["require"]),
    (
        &["module"],
        &["module", "revision", "settings", "on_failure"],
    ),
];

impl PartialSchema for PolicyKeys {
    /// One form for each kind of option.
    fn schema() -> RefOr<Schema> {
        let forms = OPTIONS.map(|(options, own)| form(options, own));
        let all = forms
            .into_iter()
            .flatten()
            .fold(OneOfBuilder::new(), OneOfBuilder::item);
        let about = "A policy: the keys of `[[policy]]` in a file, without the name.";
        let example = json!({ "from": ".partner.example", "option": "enforced" });
        let all = all.description(Some(about)).examples([example]);
        RefOr::T(Schema::OneOf(all.build()))
    }
}

impl ToSchema for PolicyKeys {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        AnyKeys::schemas(schemas);
    }
}

fn form(options: &[&str], own: &[&str]) -> Option<Object> {
    let RefOr::T(Schema::Object(mut form)) = AnyKeys::schema() else {
        return None;
    };
    let foreign = OPTIONS.iter().flat_map(|(_, keys)| *keys);
    for key in foreign.filter(|key| !own.contains(key)) {
        form.properties.shift_remove(*key);
    }
    let option = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(options.iter().copied()))
        .description(Some("What is decided: by this policy, or by a module."));
    let option = Schema::Object(option.build());
    form.properties.insert("option".to_owned(), option.into());
    if own.contains(&"module") {
        form.required.push("module".to_owned());
    }
    Some(form)
}

/// The keys of all of them.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct AnyKeys {
    /// What it is for.
    #[serde(default)]
    #[schema(max_length = 500)]
    narrative: String,
    /// Mail to the tenant, which is so unless it is said, from its own servers, or both.
    #[serde(default)]
    direction: Directions,
    /// Senders; everyone unless it is said.
    #[serde(default)]
    from: Whose,
    /// Envelope recipients; everyone unless it is said.
    #[serde(default)]
    to: Whose,
    /// Which addresses are the sender's: of the envelope unless it is said.
    #[serde(default)]
    based_on: Basis,
    /// Also applies with `from` and `to` exchanged.
    #[serde(default)]
    bidirectional: bool,
    /// Client addresses; any unless it is said.
    #[serde(default)]
    sources: Vec<Network>,
    /// Whether it applies at all, as it does unless it is said.
    #[serde(default)]
    enabled: bool,
    /// The first second in which it applies.
    #[serde(default)]
    valid_from: Time,
    /// The first second in which it does not apply any more.
    #[serde(default)]
    valid_until: Time,
    /// Goes before every policy without it.
    #[serde(default)]
    r#override: bool,
    /// `enforce`, or only record what it would decide.
    #[serde(default)]
    mode: Mode,
    /// Enforced for a share of sender domains that rises; only with `mode` `enforce`.
    #[serde(default)]
    ramp: Ramp,
    /// What is decided: by this policy, or by a module.
    option: String,
    /// What the connection must offer. Only with `enforced`.
    #[serde(default)]
    require: Require,
    /// The module to ask. Needed with `module`, and only there.
    #[serde(default)]
    module: NameText,
    /// Always this revision of the module. Only with `module`.
    #[serde(default)]
    revision: Sha256,
    /// What the module makes of it. Only with `module`.
    #[serde(default)]
    #[schema(value_type = Object)]
    settings: (),
    /// What it means when the module fails. Only with `module`.
    #[serde(default)]
    on_failure: OnFailure,
    /// Added to the refusals of this policy.
    #[serde(default)]
    #[schema(pattern = "^[ -~]*[!-~][ -~]*$", max_length = 200)]
    contact: String,
}

/// From nobody at the start to everybody at the end.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Ramp {
    /// Until then nobody is enforced.
    start: Time,
    /// From then on everybody is.
    end: Time,
    /// The host halts it when more than so many per cent of the mail in its scope is
    /// refused; never unless it is said.
    #[serde(default)]
    #[schema(maximum = 100)]
    halt_above: u8,
    /// When it was halted; the share stands as it was then.
    #[serde(default)]
    halted: Time,
    /// When it was resumed; what was refused before is no reason to halt it.
    #[serde(default)]
    resumed: Time,
}

/// All of these must hold.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
struct Require {
    /// The lowest version of TLS.
    #[serde(default)]
    tls: Version,
    /// A key exchange that resists a quantum computer.
    #[serde(default)]
    post_quantum: bool,
    /// A client certificate: any, or one that the tenant trusts.
    #[serde(default)]
    certificate: Certificate,
    /// Trusted, and matching this host name.
    #[serde(default)]
    covers: DomainName,
    /// Trusted, and naming this domain or a host below it.
    #[serde(default)]
    within: DomainName,
    /// Its public key is one of these.
    #[serde(default)]
    #[schema(min_items = 1)]
    pins: Vec<Sha256>,
}

/// What a module decides; with the requirements, where TLS is enforced.
#[derive(ToSchema)]
#[schema(as = Decision)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum Decided {
    Default,
    Opportunistic,
    Enforced(Vec<Value>),
}

/// Which mail a policy is about.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Directions {
    Inbound,
    Outbound,
    Both,
}

/// Which addresses are the sender's.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Basis {
    Envelope,
    Header,
    Both,
}

/// Whether what a policy decides is done.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Enforce,
    Monitor,
}

/// What it means when a module fails.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    Defer,
    Enforced,
    Opportunistic,
}

/// A version of TLS.
#[derive(ToSchema)]
enum Version {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

/// Which client certificate.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Certificate {
    Presented,
    Trusted,
}
