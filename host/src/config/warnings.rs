//! What is no fault and is hardly meant: `portcullis check` shows it.

use std::fmt::Display;

use super::{Authority, Config, Fault, Listener, PolicyConfig, Position, TenantConfig};
use crate::decision::{Decision, Resolved};
use crate::policy::{BasedOn, Choice, Mode};

/// Everything of this kind, by file and line.
pub fn warnings(config: &Config) -> Vec<Fault> {
    let mut warnings: Vec<Fault> = config.tenants.iter().filter_map(targets).collect();
    warnings.extend(postmaster(config));
    for (at, tenant) in config.tenants.iter().enumerate() {
        let earlier = config.tenants[..at].iter();
        warnings.extend(earlier.filter_map(|other| overlap(tenant, other)));
        let listeners = config.listeners.iter();
        warnings.extend(listeners.filter_map(|listener| proxies(tenant, listener)));
        let default = tenant.default.as_ref().unwrap_or(&config.default);
        let policies = tenant.policies.iter();
        warnings.extend(
            policies
                .clone()
                .filter_map(|policy| too_late(policy, default)),
        );
        if let Authority::Files(_) = config.authority {
            warnings.extend(policies.filter_map(not_halted));
        }
    }
    warnings.sort();
    warnings
}

/// Every host takes mail to its postmaster (RFC 5321, section 4.5.1).
fn postmaster(config: &Config) -> Option<Fault> {
    let domain = config.postmaster.domain();
    let mut domains = config.tenants.iter().flat_map(|tenant| &tenant.domains);
    if config.tenants.is_empty() || domains.any(|known| Some(known) == domain) {
        return None;
    }
    let at = Position::file(&config.file);
    Some(at.fault(format_args!(
        "no tenant has the domain of {}, so mail to <Postmaster> is refused, which every host has \
         to take (RFC 5321): name a mailbox of a tenant in postmaster",
        config.postmaster
    )))
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
    let other = format_args!("{} as well, at {}", other.id, other.sources.at);
    Some(tenant.sources.at.fault(shared_source(&shared, &other)))
}

/// What it means that this is a source of another tenant as well, as is said of the other.
pub fn shared_source(shared: &str, other: &dyn Display) -> String {
    format!(
        "{shared} is a source of {other}: the sender tells whose mail it is, but a bounce from \
         there, which has none, is nobody's and goes to no foreign domain"
    )
}

/// Everybody is behind a proxy, and some only where it is named.
fn proxies(tenant: &TenantConfig, listener: &Listener) -> Option<Fault> {
    let proxies = listener.proxies.as_ref()?;
    let (network, proxy) = tenant.sources.value.overlap_with(&proxies.from)?;
    Some(tenant.sources.at.fault(format_args!(
        "{network} overlaps {proxy}, from where listener {} has its proxies: whoever comes through \
         one to a listener that does not name it would count as a server of this tenant, and may \
         send to anyone: leave the proxies out here",
        listener.name
    )))
}

/// What has crossed the network in clear cannot be called back. `default` is what Default
/// means for the tenant.
fn too_late(read: &PolicyConfig, default: &Resolved) -> Option<Fault> {
    let policy = &read.policy;
    let enforces = match &policy.option {
        Choice::Constant(Decision::Enforced(_)) => true,
        Choice::Constant(Decision::Default) => matches!(default, Resolved::Enforced(_)),
        Choice::Constant(Decision::Opportunistic) | Choice::Module(_) => false,
    };
    let is_in_force = policy.enabled && policy.mode == Mode::Enforce;
    let reads_header = is_in_force && policy.based_on != BasedOn::Envelope;
    (enforces && reads_header).then(|| {
        read.at.fault(format_args!(
            "{} enforces by the header From, which comes with the content: mail that it refuses \
             may have crossed in clear by then; base it on the envelope to refuse it before",
            policy.name
        ))
    })
}

/// A ramp is halted by a change of its policy.
fn not_halted(read: &PolicyConfig) -> Option<Fault> {
    let ramp = read.policy.ramp.as_ref()?;
    ramp.halt_above()?;
    Some(read.at.fault(format_args!(
        "the ramp of {} is not halted whatever it refuses, for the host does not write these \
         files: its log says when it should be; keep tenants in the store (portcullis apply) to \
         have it halted",
        read.policy.name
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::Files;

    /// The warnings about a tenant's file, without their places.
    fn warned(host: &str, tenant: &str) -> Vec<String> {
        let files = Files::new();
        let postmaster = "postmaster = \"pam@a.example\"\n";
        files.write("portcullis.toml", format!("{postmaster}{host}"));
        let domain = "domains = [\"a.example\"]\n";
        files.write("tenants/a.toml", format!("{domain}{tenant}"));
        let config = files.read().expect("no fault");
        let shown = warnings(&config).into_iter().map(|fault| fault.to_string());
        shown
            .filter(|text| !text.contains("[targets.outbound]"))
            .map(|text| {
                text.rsplit_once(": ")
                    .map_or(text.clone(), |(_, end)| end.to_owned())
            })
            .collect()
    }

    #[test]
    fn a_postmaster_is_somebodys() {
        let listener = "[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n";
        for (host, warns) in [
            ("", true),
            ("hostname = \"a.example\"\n", false),
            ("postmaster = \"root@other.example\"\n", true),
            ("postmaster = \"root@A.example\"\n", false),
        ] {
            let files = Files::new();
            files.write("portcullis.toml", format!("{host}{listener}"));
            let alone = warnings(&files.read().expect("no fault"));
            assert!(alone.is_empty(), "there may be tenants later: {alone:?}");
            files.write("tenants/a.toml", "domains = [\"a.example\"]\n");
            let found = warnings(&files.read().expect("no fault"));
            let told = found
                .iter()
                .any(|one| one.to_string().contains("<Postmaster>"));
            assert_eq!(told, warns, "{host}{found:?}");
        }
    }

    #[test]
    fn a_ramp_in_a_file_is_not_halted() {
        let host = "[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n";
        for (more, warns) in [("", false), ("halt_above = 5\n", true)] {
            let tenant = format!(
                "[[policy]]\nname = \"all\"\noption = \"enforced\"\n[policy.ramp]\n\
                 start = 2026-12-01T00:00:00Z\nend = 2026-12-15T00:00:00Z\n{more}"
            );
            let warned = warned(host, &tenant);
            assert_eq!(warned.len(), usize::from(warns), "{warned:?}");
        }
    }

    #[test]
    fn a_proxy_is_no_server_of_a_tenant() {
        let host = "[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\n\
                    proxy_from = [\"10.0.0.1\", \"2001:db8::/32\"]\n";
        for (network, overlaps) in [
            ("10.0.0.0/8", true),
            ("10.0.0.1", true),
            ("2001:db8:25::/48", true),
            ("10.0.0.2", false),
            ("192.0.2.0/24", false),
        ] {
            let tenant = format!("[sources]\nnetworks = [\"{network}\"]\n");
            let expected: &[&str] = match overlaps {
                true => &["leave the proxies out here"],
                false => &[],
            };
            assert_eq!(warned(host, &tenant), expected, "{network}");
        }
    }

    #[test]
    fn what_enforces_by_the_header_comes_too_late() {
        let enforced = "[defaults]\ndecision = \"enforced\"\n";
        // Only a host of which no listener is public may have it.
        let private = format!(
            "{enforced}[[listener]]\nname = \"smtp\"\naddress = \"127.0.0.1:0\"\nprivate = true\n"
        );
        for (host, defaults, policy, late) in [
            ("", "", "option = \"enforced\"", true),
            ("", enforced, "option = \"default\"", true),
            (&*private, "", "option = \"default\"", true),
            ("", "", "option = \"default\"", false),
            (
                &*private,
                "[defaults]\ndecision = \"opportunistic\"\n",
                "option = \"default\"",
                false,
            ),
            ("", enforced, "option = \"opportunistic\"", false),
            ("", "", "option = \"enforced\"\nmode = \"monitor\"", false),
            ("", "", "option = \"enforced\"\nenabled = false", false),
        ] {
            let table = "[[policy]]\nname = \"p\"\nbased_on = \"header\"\n";
            let found = warned(host, &format!("{defaults}{table}{policy}\n"));
            assert_eq!(
                found.len(),
                usize::from(late),
                "{host}{defaults}{policy}: {found:?}"
            );
        }
    }
}
