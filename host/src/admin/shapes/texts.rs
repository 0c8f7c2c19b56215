//! Texts that have a form.

use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder};
use utoipa::openapi::{KnownFormat, RefOr, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// 1 to 63 of a-z, 0-9 and `-`, beginning with a letter or digit.
#[derive(ToSchema)]
#[schema(as = Name, pattern = "^[a-z0-9][a-z0-9-]{0,62}$")]
pub(in crate::admin) struct NameText(String);

/// A ULID.
#[derive(ToSchema)]
#[schema(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
pub(in crate::admin) struct Id(String);

/// SHA-256 as 64 hex digits.
#[derive(ToSchema)]
#[schema(pattern = "^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$")]
pub(in crate::admin) struct Sha256(String);

/// A time with its offset from UTC (RFC 3339), in whole seconds.
#[derive(ToSchema)]
#[schema(
    format = DateTime,
    pattern = r"^(19[7-9][0-9]|[2-9][0-9]{3})-[01][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.0{1,9})?([Zz]|[+-][0-2][0-9]:[0-5][0-9])$"
)]
pub(in crate::admin) struct Time(String);

/// An address of mail (RFC 5321, and RFC 6531 for what is beyond ASCII).
#[derive(ToSchema)]
#[schema(as = Mailbox, format = Email)]
pub(in crate::admin) struct Address(String);

/// A domain.
#[derive(ToSchema)]
#[schema(as = Domain, min_length = 1)]
pub(in crate::admin) struct DomainName(String);

/// Which way mail goes, as the tenant sees it.
#[derive(ToSchema)]
#[schema(as = Direction)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum Side {
    Inbound,
    Outbound,
}

/// What a token is good for; each may do what those before it may.
#[derive(ToSchema)]
#[schema(as = Role)]
#[serde(rename_all = "lowercase")]
pub(in crate::admin) enum TokenRole {
    Viewer,
    Author,
    Admin,
    Operator,
}

/// The address of a client.
pub(in crate::admin) struct Client;

/// Whose addresses a policy is about.
pub(super) struct Whose;

/// A network, or one address.
pub(super) struct Network;

impl PartialSchema for Client {
    fn schema() -> RefOr<Schema> {
        any_of("An address of IPv4 or IPv6.", addresses())
    }
}

impl ToSchema for Client {}

impl PartialSchema for Whose {
    fn schema() -> RefOr<Schema> {
        let words = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(["everyone", "internal", "external"]));
        let about = "`everyone`, `internal`, `external`, `list:NAME`, an address, a domain, or \
                     a dot and a domain for those below it.";
        let forms = [
            words,
            text().pattern(Some("^list:[a-z0-9][a-z0-9-]{0,62}$")),
            text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Email))),
            text().min_length(Some(1)),
        ];
        any_of(about, forms)
    }
}

impl ToSchema for Whose {}

impl PartialSchema for Network {
    fn schema() -> RefOr<Schema> {
        let prefix = text().pattern(Some("^[0-9A-Fa-f.:]+/[0-9]{1,3}$"));
        let forms = addresses().into_iter().chain([prefix]);
        any_of("An address, or a network with its prefix.", forms)
    }
}

impl ToSchema for Network {}

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn addresses() -> [ObjectBuilder; 2] {
    [KnownFormat::Ipv4, KnownFormat::Ipv6]
        .map(|format| text().format(Some(SchemaFormat::KnownFormat(format))))
}

fn any_of(about: &str, forms: impl IntoIterator<Item = ObjectBuilder>) -> RefOr<Schema> {
    let forms = forms.into_iter();
    let all = forms.fold(AnyOfBuilder::new(), AnyOfBuilder::item);
    RefOr::T(Schema::AnyOf(all.description(Some(about)).build()))
}
