//! Which way a message goes to one recipient: into a tenant's domains, out of them, or
//! from one tenant to another.
//!
//! **The host is never an open relay**: mail to a domain that no tenant has goes on
//! only where it is a tenant's own, from one of the tenant's servers and with a sender
//! in the tenant's domains, and only where that tenant has somewhere to send it.

use std::sync::Arc;

use super::{Recognition, Snapshot, Tenant};
use crate::address::Mailbox;
use crate::facts::Connection;

/// Most tenants whose trust is asked about one certificate: a certificate may claim the
/// names of many tenants' servers, and each judgement costs as much as a handshake.
const MAX_JUDGED: usize = 4;

/// Whose own mail a transaction is, by its client and its sender.
#[derive(Clone, Debug)]
pub enum Origin {
    /// No tenant's: mail from elsewhere.
    Elsewhere,
    /// Outbound mail of this tenant.
    Tenant(Arc<Tenant>),
    /// It has the null sender, and the client is a server of several tenants, or claims
    /// to be one of more than are asked.
    Unclear,
}

/// The way to one recipient, and whose policies decide about it.
#[derive(Clone, Debug)]
pub enum Route {
    /// To this tenant.
    Inbound(Arc<Tenant>),
    /// From this tenant to a domain that nobody here has.
    Outbound(Arc<Tenant>),
    /// From one tenant to another, or to itself: either may refuse.
    Across {
        /// Whose outbound mail it is.
        from: Arc<Tenant>,
        /// Whose inbound mail it is.
        to: Arc<Tenant>,
    },
    /// Nowhere.
    Denied(Denial),
}

/// Why a recipient of a domain that nobody here has is refused.
#[derive(Clone, Debug)]
pub enum Denial {
    /// It is no tenant's mail.
    Foreign,
    /// It is this tenant's, who has no target for it.
    NoTarget(Arc<Tenant>),
    /// Nobody can say which tenant's it is.
    Unclear,
}

impl Snapshot {
    /// The tenants whose trust has to be asked about the client's certificate before
    /// [`Snapshot::origin`] can tell.
    pub fn to_be_asked(
        &self,
        sender: Option<&Mailbox>,
        connection: &Connection,
    ) -> Vec<&Arc<Tenant>> {
        self.senders(sender)
            .filter(|tenant| tenant.sources.recognise(connection) == Recognition::ByName)
            .take(MAX_JUDGED)
            .collect()
    }

    /// Whose own mail it is that this client sends with this sender. `is_anchored` says
    /// whether a tenant's trust finds the client's certificate under an anchor; it is
    /// asked for those of [`Snapshot::to_be_asked`].
    pub fn origin(
        &self,
        sender: Option<&Mailbox>,
        connection: &Connection,
        is_anchored: impl Fn(&Tenant) -> bool,
    ) -> Origin {
        let mut claimed = 0;
        let mut own =
            self.senders(sender)
                .filter(|tenant| match tenant.sources.recognise(connection) {
                    Recognition::None => false,
                    Recognition::Certain => true,
                    Recognition::ByName => {
                        claimed += 1;
                        claimed <= MAX_JUDGED && is_anchored(tenant)
                    }
                });
        let (first, more) = (own.next().cloned(), own.next().is_some());
        drop(own);
        match first {
            // One who was not judged may have it.
            _ if more || claimed > MAX_JUDGED => Origin::Unclear,
            None => Origin::Elsewhere,
            Some(tenant) => Origin::Tenant(tenant),
        }
    }

    /// The way to this recipient.
    pub fn route(&self, origin: &Origin, recipient: &Mailbox) -> Route {
        match (origin, self.owner(recipient).cloned()) {
            (Origin::Tenant(from), Some(to)) => Route::Across {
                from: Arc::clone(from),
                to,
            },
            (Origin::Elsewhere | Origin::Unclear, Some(to)) => Route::Inbound(to),
            (Origin::Tenant(from), None) => match &from.outbound {
                Some(_) => Route::Outbound(Arc::clone(from)),
                None => Route::Denied(Denial::NoTarget(Arc::clone(from))),
            },
            (Origin::Elsewhere, None) => Route::Denied(Denial::Foreign),
            (Origin::Unclear, None) => Route::Denied(Denial::Unclear),
        }
    }

    /// The tenants who may send as this sender from their own servers: the one who has
    /// its domain, or any for the null sender of a bounce.
    fn senders(&self, sender: Option<&Mailbox>) -> impl Iterator<Item = &Arc<Tenant>> {
        let owner = sender.map(|sender| self.owner(sender));
        let (one, any) = match owner {
            Some(owner) => (owner, &[][..]),
            None => (None, self.tenants()),
        };
        one.into_iter().chain(any).filter(|t| !t.sources.is_empty())
    }
}

#[cfg(test)]
mod tests;
