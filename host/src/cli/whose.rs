//! Whose things are meant.

use anyhow::bail;
use serde::Deserialize;

use super::api::{ApiArguments, Ask, Client, items};
use crate::facts::TenantId;

/// Whose, where, and for whom it is shown.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct TenantArguments {
    /// Whose; a token of one tenant means that one unless it is said.
    #[arg(long, value_name = "ID", global = true)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    pub(super) api: ApiArguments,
    /// JSON, as the host answers it; of what there are many of, a line each.
    #[arg(long, global = true)]
    pub(super) json: bool,
}

#[derive(Deserialize)]
struct Named {
    id: String,
}

impl TenantArguments {
    /// The one that is named, if one is.
    pub(super) fn named(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    /// The same on another command line, with a space before each.
    pub(super) fn repeated(&self) -> String {
        let tenant = self.tenant.as_ref();
        let tenant = tenant.map(|tenant| format!(" --tenant {tenant}"));
        tenant.unwrap_or_default() + &self.api.repeated()
    }

    /// The one that is named, if the host has it for whoever asks, or the only one that there is for whoever asks.
    pub(super) async fn checked_tenant(&self, client: &Client) -> anyhow::Result<String> {
        if let Some(named) = &self.tenant {
            client.send(Ask::get(&["tenants", named.as_str()])).await?;
        }
        self.tenant(client).await
    }

    /// The one that is named, or the only one that there is for whoever asks.
    pub(super) async fn tenant(&self, client: &Client) -> anyhow::Result<String> {
        if let Some(named) = &self.tenant {
            return Ok(named.to_string());
        }
        let seen = items(client, Ask::get(&["tenants"]), Some(2)).await?;
        match seen.as_slice() {
            [only] => Ok(Named::deserialize(only)?.id),
            [] => bail!("there are no tenants"),
            _ => bail!("there are several tenants: say whose it is with --tenant"),
        }
    }
}
