//! Never an open relay: whatever tenants have as sources, checked against rules that
//! are written down a second time here, as simply as can be.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};

use super::super::tests::{Bench, mailbox};
use super::*;
use crate::digest::Digest;
use crate::facts::{TrustState, sample};

const TENANTS: [&str; 3] = ["a", "b", "c"];
const NETWORKS: [&str; 4] = [
    "192.0.2.0/24",
    "192.0.2.128/25",
    "198.51.100.7/32",
    "2001:db8::/32",
];
const CLIENTS: [&str; 6] = [
    "192.0.2.1",
    "::ffff:192.0.2.129",
    "198.51.100.7",
    "198.51.100.8",
    "2001:db8::1",
    "2001:db9::1",
];
const NAMES: [&str; 2] = ["mail.a.example", "mail.b.example"];
const CLAIMS: [&str; 4] = [
    "mail.a.example",
    "MAIL.B.example",
    "*.a.example",
    "a.example",
];
const KEYS: [&[u8]; 2] = [b"key", b"another key"];
const MAILBOXES: [&str; 7] = [
    "x@a.example",
    "X@B.Example",
    "x@c.example",
    "x@sub.a.example",
    "x@foreign.example",
    "a.example@foreign.example",
    "x@[192.0.2.1]",
];

/// A tenant as the test writes it, and what its trust would say.
#[derive(Clone, Debug)]
struct Drawn {
    networks: Vec<&'static str>,
    names: Vec<&'static str>,
    keys: Vec<&'static [u8]>,
    has_target: bool,
    anchors_the_client: bool,
}

#[derive(Clone, Debug)]
struct Sent {
    client: &'static str,
    /// Names and key.
    certificate: Option<(Vec<&'static str>, &'static [u8])>,
    sender: Option<&'static str>,
    recipient: &'static str,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    (
        subsequence(&NETWORKS[..], 0..=3),
        subsequence(&NAMES[..], 0..=2),
        subsequence(&KEYS[..], 0..=1),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(
            |(networks, names, keys, has_target, anchors_the_client)| Drawn {
                networks,
                names,
                keys,
                has_target,
                anchors_the_client,
            },
        )
}

fn sent() -> impl Strategy<Value = Sent> {
    let certificate = (subsequence(&CLAIMS[..], 0..=3), select(&KEYS[..]));
    (
        select(&CLIENTS[..]),
        proptest::option::of(certificate),
        proptest::option::of(select(&MAILBOXES[..])),
        select(&MAILBOXES[..]),
    )
        .prop_map(|(client, certificate, sender, recipient)| Sent {
            client,
            certificate,
            sender,
            recipient,
        })
}

impl Drawn {
    fn write(&self, bench: &Bench, id: &str) {
        let mut sources = format!("[sources]\nnetworks = {:?}\n", self.networks);
        if !self.names.is_empty() {
            sources += &format!("[[sources.certificate]]\nnames = {:?}\n", self.names);
        }
        if !self.keys.is_empty() {
            let pins: Vec<String> = self
                .keys
                .iter()
                .map(|k| Digest::of(k).to_string())
                .collect();
            sources += &format!("[[sources.certificate]]\npins = {pins:?}\n");
        }
        let target = match self.has_target {
            true => "[targets.outbound]\nkind = \"discard\"\n",
            false => "",
        };
        bench.write(
            &format!("tenants/{id}.toml"),
            &format!(
                "domains = [\"{id}.example\"]\n{sources}{target}[trust]\npublic_roots = false\n"
            ),
        );
    }

    /// The rules of the documentation.
    fn is_source(&self, sent: &Sent) -> bool {
        let client: std::net::IpAddr = sent.client.parse().expect("an address");
        let in_network = self.networks.iter().any(|network| {
            let network: ipnet::IpNet = network.parse().expect("a network");
            network.contains(&client.to_canonical())
        });
        let Some((claims, key)) = &sent.certificate else {
            return in_network;
        };
        let named = claims.iter().any(|claim| match *claim {
            "*.a.example" => self.names.contains(&"mail.a.example"),
            claim => self.names.contains(&claim.to_ascii_lowercase().as_str()),
        });
        in_network || self.keys.contains(key) || (named && self.anchors_the_client)
    }
}

fn connection(sent: &Sent) -> Connection {
    let recipient = mailbox(sent.recipient);
    let mut facts = match &sent.certificate {
        None => sample::clear(&recipient),
        Some((claims, _)) => sample::certified(&recipient, claims, TrustState::Trusted),
    };
    let connection = Arc::make_mut(&mut facts.connection);
    connection
        .client
        .set_ip(sent.client.parse().expect("an address"));
    if let (Some((_, key)), Some(tls)) = (&sent.certificate, &mut connection.tls)
        && let crate::facts::ClientCertificate::Given(given) = &mut tls.client_certificate
    {
        given.spki_sha256 = Digest::of(key);
    }
    connection.clone()
}

/// The tenant who has the domain of this mailbox, by its place.
fn owner(mailbox: &str) -> Option<usize> {
    let (_, domain) = mailbox.rsplit_once('@').expect("a mailbox");
    let domain = domain.to_ascii_lowercase();
    TENANTS
        .iter()
        .position(|id| domain == format!("{id}.example"))
}

fn check(snapshot: &Snapshot, drawn: &[Drawn], sent: &Sent) {
    let sender = sent.sender.map(mailbox);
    let connection = connection(sent);
    let asked: Vec<_> = snapshot
        .to_be_asked(sender.as_ref(), &connection)
        .into_iter()
        .map(|tenant| tenant.id.clone())
        .collect();
    let origin = snapshot.origin(sender.as_ref(), &connection, |tenant| {
        assert!(
            asked.contains(&tenant.id),
            "asked for a judgement that nobody made"
        );
        let at = TENANTS.iter().position(|id| *id == tenant.id.as_str());
        drawn[at.expect("a tenant")].anchors_the_client
    });
    let sources: Vec<usize> = (0..3).filter(|at| drawn[*at].is_source(sent)).collect();
    let own = match sent.sender {
        Some(sender) => owner(sender).filter(|at| sources.contains(at)),
        None => (sources.len() == 1).then(|| sources[0]),
    };
    let expected = match (own, owner(sent.recipient)) {
        (None, None) if sent.sender.is_none() && sources.len() > 1 => "unclear".to_owned(),
        (None, None) => "foreign".to_owned(),
        (None, Some(to)) => format!("to {}", TENANTS[to]),
        (Some(from), None) if drawn[from].has_target => format!("from {}", TENANTS[from]),
        (Some(from), None) => format!("no target of {}", TENANTS[from]),
        (Some(from), Some(to)) => format!("from {} to {}", TENANTS[from], TENANTS[to]),
    };
    let found = match snapshot.route(&origin, &mailbox(sent.recipient)) {
        Route::Inbound(to) => format!("to {}", to.id),
        Route::Outbound(from) => format!("from {}", from.id),
        Route::Across { from, to } => format!("from {} to {}", from.id, to.id),
        Route::Denied(Denial::Foreign) => "foreign".to_owned(),
        Route::Denied(Denial::NoTarget(from)) => format!("no target of {}", from.id),
        Route::Denied(Denial::Unclear) => "unclear".to_owned(),
    };
    assert_eq!(found, expected, "{drawn:#?} {sent:#?}");
}

#[test]
fn a_foreign_recipient_is_taken_only_from_a_source_of_the_senders_tenant() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let bench = Bench::new();
    let mut runner = TestRunner::new(Config::with_cases(200));
    let tenants = [drawn(), drawn(), drawn()];
    let messages = proptest::collection::vec(sent(), 20);
    let result = runner.run(&(tenants, messages), |(drawn, messages)| {
        for (id, drawn) in TENANTS.iter().zip(&drawn) {
            drawn.write(&bench, id);
        }
        let snapshot = runtime.block_on(bench.load()).expect("no fault");
        for sent in &messages {
            check(&snapshot, &drawn, sent);
        }
        Ok(())
    });
    result.expect("no open relay");
}

/// Each judgement costs as much as a handshake: a certificate that claims the names of
/// ever so many tenants' servers is judged by a few, and nobody can say whose it is.
#[tokio::test]
async fn a_certificate_that_claims_everything_is_judged_a_few_times() {
    let bench = Bench::new();
    for at in 0..10 {
        bench.write(
            &format!("tenants/t{at}.toml"),
            &format!(
                "domains = [\"t{at}.example\"]\n[trust]\npublic_roots = false\n\
                 [[sources.certificate]]\nnames = [\"mail.t{at}.example\"]\n"
            ),
        );
    }
    let snapshot = bench.load().await.expect("no fault");
    let names: Vec<String> = (0..10).map(|at| format!("mail.t{at}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let recipient = mailbox("x@foreign.example");
    let facts = sample::certified(&recipient, &names, TrustState::Trusted);
    let asked = snapshot.to_be_asked(None, &facts.connection);
    assert_eq!(asked.len(), MAX_JUDGED);
    for vouches in ["t0", "t9", "none"] {
        let origin = snapshot.origin(None, &facts.connection, |t| t.id.as_str() == vouches);
        assert!(matches!(origin, Origin::Unclear), "{vouches}: {origin:?}");
    }
    let few = sample::certified(&recipient, &names[..MAX_JUDGED], TrustState::Trusted);
    let origin = snapshot.origin(None, &few.connection, |t| t.id.as_str() == "t0");
    assert!(matches!(origin, Origin::Tenant(_)), "{origin:?}");
    let last = |tenant: &Tenant| tenant.id.as_str() == "t9";
    let sender = mailbox("x@t9.example");
    assert_eq!(
        snapshot.to_be_asked(Some(&sender), &facts.connection).len(),
        1
    );
    let origin = snapshot.origin(Some(&sender), &facts.connection, last);
    assert!(matches!(origin, Origin::Tenant(_)), "{origin:?}");
}
