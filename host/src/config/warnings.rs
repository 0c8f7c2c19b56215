//! What is no fault and is hardly meant: `portcullis check` shows it.

use super::{Config, Fault, PolicyConfig, TenantConfig};
use crate::decision::Decision;
use crate::policy::{BasedOn, Choice};

/// Everything of this kind, by file and line.
pub fn warnings(config: &Config) -> Vec<Fault> {
    let mut warnings: Vec<Fault> = config.tenants.iter().filter_map(targets).collect();
    for (at, tenant) in config.tenants.iter().enumerate() {
        let earlier = config.tenants[..at].iter();
        warnings.extend(earlier.filter_map(|other| overlap(tenant, other)));
        warnings.extend(tenant.policies.iter().filter_map(too_late));
    }
    warnings.sort();
    warnings
}

/// Sources and a target for what comes from them belong together.
fn targets(tenant: &TenantConfig) -> Option<Fault> {
    let sources = &tenant.sources;
    match (&tenant.outbound, sources.value.is_empty()) {
        (None, false) => Some(sources.at.fault(
            "mail from these to others is refused, since there is no [targets.outbound]: add one, \
             unless they send to tenants of this host alone",
        )),
        (Some(_), true) => Some(sources.at.fault(
            "nothing ever goes to [targets.outbound], since no server of this tenant is known: \
             name them here",
        )),
        (Some(_), false) | (None, true) => None,
    }
}

fn overlap(tenant: &TenantConfig, other: &TenantConfig) -> Option<Fault> {
    let shared = tenant.sources.value.shared_with(&other.sources.value)?;
    Some(tenant.sources.at.fault(format_args!(
        "{shared} is a source of {} as well, at {}: the sender tells whose mail it is, but a \
         bounce from there, which has none, is nobody's and goes to no foreign domain",
        other.id, other.sources.at
    )))
}

/// What has crossed the network in clear cannot be called back.
fn too_late(read: &PolicyConfig) -> Option<Fault> {
    let policy = &read.policy;
    let enforces = matches!(&policy.option, Choice::Constant(Decision::Enforced(_)));
    let reads_header = policy.enabled && policy.based_on != BasedOn::Envelope;
    (enforces && reads_header).then(|| {
        read.at.fault(format_args!(
            "{} enforces by the header From, which comes with the content: mail that it refuses \
             may have crossed in clear by then; base it on the envelope to refuse it before",
            policy.name
        ))
    })
}
