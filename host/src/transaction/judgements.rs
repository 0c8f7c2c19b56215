//! What tenants think of the client's certificate, for as long as a session lasts.
//!
//! Judging builds and verifies a path, which costs more than everything else about a
//! recipient; so it is done once for each tenant and session, and again when the
//! tenant's trust has changed or time has passed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;

use crate::facts::{Judgement, Trust, TrustState};
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
    pub(super) async fn of(
        &mut self,
        tenant: &Tenant,
        chain: &Arc<[CertificateDer<'static>]>,
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
        let trust = Arc::clone(&tenant.trust);
        let judgement = judge(Arc::clone(&trust), Arc::clone(chain), now).await;
        self.0.push(Judged {
            trust,
            at: now,
            judgement: judgement.clone(),
        });
        Some(judgement)
    }
}

/// A chain that was made to be hard takes many milliseconds, and other sessions wait
/// for this thread.
async fn judge(
    trust: Arc<TrustStore>,
    chain: Arc<[CertificateDer<'static>]>,
    now: SystemTime,
) -> Judgement {
    let judged = tokio::task::spawn_blocking(move || trust.judge(&chain, now)).await;
    judged.unwrap_or_else(|error| {
        tracing::error!(%error, "a certificate could not be judged");
        let trust = Trust {
            state: TrustState::Untrusted,
            detail: "not judged".into(),
        };
        Judgement {
            client: trust.clone(),
            server: trust,
            accept_self_signed: false,
        }
    })
}
