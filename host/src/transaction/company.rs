//! Who may be in a transaction together, where the content decides.
//!
//! The end of data has one reply. **A recipient whose tenant may refuse the message by
//! its header From shares a transaction only with recipients of that tenant**, whichever
//! of them came first, so that no tenant's policy decides about another's mail.
//!
//! The sender's tenant is the same for the whole transaction: what it refuses is refused
//! for all of its recipients anyhow.

use crate::facts::TenantId;

/// The recipients that are in by now.
#[derive(Debug, Default)]
pub(super) struct Company(Vec<Member>);

/// What counts of a recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The tenant who has its domain; none for a foreign one.
    pub(super) tenant: Option<TenantId>,
    /// That tenant may refuse the message by its header From.
    pub(super) particular: bool,
}

impl Company {
    /// Whether this recipient may come in.
    pub(super) fn admits(&self, new: &Member) -> bool {
        let with = |there: &Member| {
            let particular = there.particular || new.particular;
            !particular || there.tenant == new.tenant
        };
        self.0.iter().all(with)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    fn member(text: &str) -> Member {
        let particular = text.ends_with('!');
        let id = text.trim_end_matches('!');
        Member {
            tenant: (!id.is_empty()).then(|| id.parse().expect("an id")),
            particular,
        }
    }

    /// With `!` a tenant may refuse by the header From; nothing is a foreign domain.
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
            asked in proptest::collection::vec(select(&["a", "a!", "b", "b!", "c", ""][..]), 0..20),
        ) {
            let mut company = Company::default();
            for new in asked.into_iter().map(member) {
                if company.admits(&new) {
                    company.join(new);
                }
            }
            let particular = company.0.iter().find(|member| member.particular);
            if let Some(particular) = particular {
                prop_assert!(company.0.iter().all(|member| member.tenant == particular.tenant));
            }
        }
    }
}
