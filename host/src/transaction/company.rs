//! Who may be in a transaction together, where the content decides.
//!
//! The end of data has one reply. **A recipient whose tenant may refuse the message by
//! its header From shares a transaction only with recipients of that tenant**, whichever
//! of them came first, so that no tenant's policy decides about another's mail. **Whom a
//! tenant exempts from its policies is not refused with those it does not exempt**, so
//! they come apart as well.
//!
//! The sender's tenant is the same for the whole transaction: what it refuses is refused
//! for all of its recipients anyhow, but for those it exempts.

use crate::facts::TenantId;

/// The recipients that are in by now.
#[derive(Debug, Default)]
pub(super) struct Company(Vec<Member>);

/// What counts of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The tenant who has its domain; none for a foreign one.
    pub(super) tenant: Option<TenantId>,
    /// How that tenant's policies are about it.
    pub(super) inbound: Stance,
    /// How those of the sender's tenant are.
    pub(super) outbound: Stance,
}

/// What a tenant's policies on the header From may do to a recipient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stance {
    /// Nothing: there are none in force, or there is no such tenant.
    #[default]
    Free,
    /// Refuse the message.
    Subject,
    /// Nothing, whatever there are.
    Exempt,
}

impl Company {
    /// Whether this recipient may come in.
    pub(super) fn admits(&self, new: &Member) -> bool {
        self.0.iter().all(|there| there.goes_with(new))
    }

    /// It is in.
    pub(super) fn join(&mut self, new: Member) {
        if !self.0.contains(&new) {
            self.0.push(new);
        }
    }

    /// The next transaction.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Member {
    fn goes_with(&self, other: &Self) -> bool {
        let particular = [self, other]
            .iter()
            .any(|member| member.inbound == Stance::Subject);
        (!particular || self.tenant == other.tenant)
            && self.inbound.goes_with(other.inbound)
            && self.outbound.goes_with(other.outbound)
    }
}

impl Stance {
    fn goes_with(self, other: Self) -> bool {
        !matches!(
            (self, other),
            (Self::Subject, Self::Exempt) | (Self::Exempt, Self::Subject)
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    /// With `!` a tenant may refuse by the header From, with `-` it exempts the recipient;
    /// behind a `>` the same of the sender's tenant. Nothing is a foreign domain.
    fn member(text: &str) -> Member {
        let (to, from) = text.split_once('>').unwrap_or((text, ""));
        let stance = |text: &str| match text.chars().last() {
            Some('!') => Stance::Subject,
            Some('-') => Stance::Exempt,
            _ => Stance::Free,
        };
        let id = to.trim_end_matches(['!', '-']);
        Member {
            tenant: (!id.is_empty()).then(|| id.parse().expect("an id")),
            inbound: stance(to),
            outbound: stance(from),
        }
    }

    #[test]
    fn who_may_come_in() {
        for (there, new, admitted) in [
            (&[][..], "a!", true),
            (&["a!"], "a!", true),
            (&["a!"], "a", true),
            (&["a"], "a!", true),
            (&["a!"], "b", false),
            (&["b"], "a!", false),
            (&["a!"], "b!", false),
            (&["a!"], "", false),
            (&[""], "a!", false),
            (&["a", "b", ""], "c", true),
            (&["a", "b"], "a!", false),
            (&["a!"], "a-", false),
            (&["a-"], "a!", false),
            (&["a-"], "a-", true),
            (&["a-", "b-"], "c", true),
            (&["a-"], "b!", false),
            (&[">!"], "a>!", true),
            (&[">!"], "a->-", false),
            (&["a->-"], ">!", false),
            (&["a->-"], "a->-", true),
            // The bank's postmaster is none of those whom the sender's tenant exempts.
            (&[">!"], "b->!", true),
        ] {
            let mut company = Company::default();
            there.iter().for_each(|there| company.join(member(there)));
            assert_eq!(company.admits(&member(new)), admitted, "{there:?} {new:?}");
        }
    }

    proptest! {
        /// In whatever order recipients come.
        #[test]
        fn a_particular_tenant_is_among_its_own(
            asked in proptest::collection::vec(
                select(&["a", "a!", "a-", "b", "b!", "b-", "c", ""][..]),
                0..20,
            ),
        ) {
            let mut company = Company::default();
            for new in asked.into_iter().map(member) {
                if company.admits(&new) {
                    company.join(new);
                }
            }
            let subject = |member: &&Member| member.inbound == Stance::Subject;
            let particular = company.0.iter().find(subject);
            if let Some(particular) = particular {
                prop_assert!(company.0.iter().all(|member| member.tenant == particular.tenant));
                prop_assert!(company.0.iter().all(|member| member.inbound != Stance::Exempt));
            }
        }
    }
}
