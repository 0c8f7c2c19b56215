//! Warnings, as `warnings` finds them.

use utoipa::ToSchema;

use super::texts::{Id, NameText, Time};

/// Something to be done before mail breaks, or since it has.
#[derive(ToSchema)]
#[schema(as = Warning)]
pub(in crate::admin) struct WarningKeys {
    kind: WarningKind,
    severity: WarningSeverity,
    /// Since when it is so; null where nothing tells.
    #[schema(value_type = Option<Time>, required = true)]
    since: Option<String>,
    #[schema(value_type = NameText)]
    tenant: String,
    #[schema(value_type = NameText)]
    policy: String,
    /// Domain of the envelope sender whom it is about; null for all of the policy's.
    #[schema(required = true)]
    sender: Option<String>,
    /// What is wrong, and what to do.
    text: String,
    /// A receipt that shows it; null where it shows in none.
    #[schema(value_type = Option<Id>, required = true)]
    receipt: Option<String>,
}

/// What a warning is about.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WarningKind {
    CertificateExpires,
    SinglePin,
    NeverMet,
    BeganToFail,
}

/// How urgent it is: `critical` where mail is refused, or will be within a week; `notice`
/// where it will be some day.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WarningSeverity {
    Critical,
    Warning,
    Notice,
}
