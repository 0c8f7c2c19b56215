//! What tenants think of the client's certificate, for as long as a session lasts.
//!
//! Judging builds and verifies a path, which costs more than everything else about a
//! recipient; so it is done once for each tenant and session, and again when the
//! tenant's trust has changed or time has passed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use crate::facts::Judgement;
use crate::tenant::Tenant;
use crate::tls::TrustStore;

/// How long a judgement holds: certificates end to the second, sessions may last for
/// hours, and nobody can tell a minute.
const FRESH: Duration = Duration::from_secs(60);

/// The judgements of a session.
#[derive(Debug, Default)]
pub(super) struct Judgements(Vec<Judged>);

#[derive(Debug)]
struct Judged {
    trust: Arc<TrustStore>,
    at: SystemTime,
    judgement: Judgement,
}

impl Judgements {
    /// What this tenant thinks of this chain; none for a client without certificate.
    pub(super) fn of(
        &mut self,
        tenant: &Tenant,
        chain: &[CertificateDer<'_>],
        now: SystemTime,
    ) -> Option<Judgement> {
        if chain.is_empty() {
            return None;
        }
        // A clock that was set back makes nothing fresh.
        self.0
            .retain(|known| now.duration_since(known.at).is_ok_and(|age| age < FRESH));
        if let Some(known) = self
            .0
            .iter()
            .find(|known| Arc::ptr_eq(&known.trust, &tenant.trust))
        {
            return Some(known.judgement.clone());
        }
        let judgement = tenant.trust.judge(chain, now);
        let trust = Arc::clone(&tenant.trust);
        self.0.push(Judged {
            trust,
            at: now,
            judgement: judgement.clone(),
        });
        Some(judgement)
    }
}
