//! `[webhooks]` of the host, and `[webhook]` of a tenant.

use ipnet::IpNet;
use url::Url;

use super::keys;
use super::network::networks;
use super::reader::{Table, Value};
use crate::warnings::Kind;
use crate::warnings::webhook::Webhook;

/// Longest URL in octets.
const MAX_URL: usize = 2_000;

const KINDS: [(&str, Kind); 4] = [
    ("certificate-expires", Kind::CertificateExpires),
    ("single-pin", Kind::SinglePin),
    ("never-met", Kind::NeverMet),
    ("began-to-fail", Kind::BeganToFail),
];

/// Where webhooks of tenants may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Networks beside the internet.
    pub allow: Vec<IpNet>,
    /// Also in clear.
    pub allow_http: bool,
}

pub(super) fn webhooks(table: &Table<'_>) -> WebhooksConfig {
    WebhooksConfig {
        allow: networks(table, "allow").unwrap_or_default(),
        allow_http: table.boolean("allow_http", false),
    }
}

/// The webhook of a tenant, if it has one; a `None` with a fault has been reported.
pub(super) fn webhook(table: &Table<'_>) -> Option<Webhook> {
    let section = table.get("webhook")?.table(&keys::WEBHOOK)?;
    let kinds = section.elements("kinds");
    let kinds = kinds.iter().filter_map(|kind| kind.choice(&KINDS));
    let kinds = kinds.collect();
    Some(Webhook {
        url: url(&section.required("url")?)?,
        kinds,
    })
}

/// What is in it is shown to whoever may see the tenant, so that no secret may be.
fn url(value: &Value<'_>) -> Option<Url> {
    let text = value.text()?;
    let parsed = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && text.len() <= MAX_URL
    });
    let Some(url) = parsed else {
        value.fault("it is no URL of a webhook: write one such as \"https://acme.example/hook\"");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        value.fault(
            "a URL of a webhook has no user and no fragment: leave them out; messages are signed",
        );
        return None;
    }
    Some(url)
}
