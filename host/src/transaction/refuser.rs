//! Who refused a message that two tenants have receipts of.
//!
//! **What a tenant says to those it refuses is its own**: what it found in a certificate,
//! whom to ask, the id of its receipt. In the receipts of the other tenant stands that it
//! refused, and with which code.

use crate::facts::{Direction, Facts, TenantId};
use crate::smtp::reply::Reply;

/// The tenant whose refusal a reply is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refuser {
    tenant: TenantId,
    /// Of the mail, as this tenant sees it.
    direction: Direction,
}

impl Refuser {
    /// The tenant that was asked about these facts.
    pub(super) fn of(facts: &Facts) -> Self {
        Self {
            tenant: facts.tenant.clone(),
            direction: facts.direction,
        }
    }

    /// The reply, as the receipts of this tenant have it.
    pub(super) fn told(&self, tenant: &TenantId, reply: &Reply) -> Reply {
        let text = match self.direction {
            _ if *tenant == self.tenant => return reply.clone(),
            Direction::Outbound => "refused by the sender's tenant",
            Direction::Inbound => "refused by the recipient's tenant",
        };
        Reply::new(reply.code(), "", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_ids_are_for_the_tenant_who_refuses() {
        let reply = Reply::new(550, "5.7.1", "yours is for a.example [01J9]");
        let (acme, bank): (TenantId, TenantId) = (
            "acme".parse().expect("an id"),
            "bank".parse().expect("an id"),
        );
        for (direction, other) in [
            (Direction::Outbound, "550 refused by the sender's tenant"),
            (Direction::Inbound, "550 refused by the recipient's tenant"),
        ] {
            let tenant = acme.clone();
            let refuser = Refuser { tenant, direction };
            assert_eq!(refuser.told(&acme, &reply), reply);
            assert_eq!(refuser.told(&bank, &reply).to_string(), other);
        }
    }
}
