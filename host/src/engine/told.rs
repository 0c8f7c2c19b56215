//! All facts at once, as a policy is told them that asks for each: to show beside what one
//! did ask for.

use std::sync::Arc;

use wasmtime::component::Resource;

use super::bindings::portcullis::policy::facts;
use super::budget::Budget;
use super::host::{Call, Question};
use super::trace::Event;
use crate::facts::Facts;
use crate::lists::Lists;

/// Asks for each of these, with the argument where it takes one. What a decision may not
/// be told, for it is too large, is left out here, too.
macro_rules! ask {
    ($call:ident, $host:path: $($fact:ident $(($argument:literal))?),*) => {
        $({
            use $host as Host;
            let handle = Resource::new_borrow(0);
            let _ = Host::$fact(&mut $call, handle $(, $argument.to_owned())?);
        })*
    };
}

/// Every fact of the interface that these have, but `certificate.covers` and
/// `certificate.within`, which are about a name that a policy brings.
pub fn told(facts: &Arc<Facts>) -> Vec<Event> {
    let question = Question {
        facts: Arc::clone(facts),
        lists: Arc::new(Lists::default()),
    };
    let mut call = Call::new(Some(question), Budget::new(0), 0);
    call.trace = Some(Vec::new());
    ask!(call, facts::HostMessage: id, now, stage, direction, tenant, listener, client, server,
        proxied_by, reverse_name, reverse_name_confirmed, helo_verb, helo, sender, recipient,
        recipients_so_far, declared_size, body, smtputf8, requiretls, header_from,
        starttls_offered, handshake_failure_age, handshake_failure_reason, tls);
    if facts.connection.secured().is_some() {
        ask!(call, facts::HostTls: origin, version, cipher_suite, secret_bits, key_exchange,
            post_quantum, server_name, resumed, client_certificate, certificate);
    }
    if facts.certificate().is_some() {
        ask!(call, facts::HostCertificate: subject, issuer, serial, common_name, dns_names,
            email_addresses, ip_addresses, uris, not_before, not_after, key_type, key_bits,
            signature_algorithm, extended_key_usages, sha256, spki_sha256, chain_length,
            trust("client"), trust("server"), trust_detail("client"), trust_detail("server"));
    }
    call.trace.unwrap_or_default()
}
