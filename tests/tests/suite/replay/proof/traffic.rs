//! Who sends what, and what clients are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use portcullis_tests::certificate::{Authority, Identity};
use portcullis_tests::client::{Client, Tls};
use portcullis_tests::site::Host;

pub(super) const DOMAINS: usize = 200;
pub(super) const MESSAGES: usize = 100;

/// Threads that send: the host needs a core, too.
const SENDERS: usize = 4;

/// How a domain sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never in TLS.
    Clear,
    /// In clear, and in TLS 1.3 once it is asked for.
    ComesBack,
    Tls12,
    Tls13,
    /// With a certificate for a host of its own, under the tenant's anchor.
    Trusted,
    /// Under an anchor of nobody here.
    Untrusted,
    /// Under the tenant's anchor, for another name.
    WrongName,
    /// Every second message in TLS 1.3.
    Mixed,
}

pub(super) const KINDS: [Kind; 8] = [
    Kind::Clear,
    Kind::ComesBack,
    Kind::Tls12,
    Kind::Tls13,
    Kind::Trusted,
    Kind::Untrusted,
    Kind::WrongName,
    Kind::Mixed,
];

/// A domain that sends, with its certificate if it has one.
pub(super) struct Sender {
    number: usize,
    kind: Kind,
    identity: Option<Arc<Identity>>,
}

/// Who was refused what: tenant, and domain of the sender (empty: null).
pub(super) type Refusals = BTreeMap<(&'static str, String), Told>;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// 530: it was asked for TLS.
    pub(super) asked: u64,
    /// Anything else that is no 250.
    pub(super) refused: u64,
}

/// One message that is sent, and sent again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Attempt {
    pub(super) domain: usize,
    pub(super) message: usize,
    /// It came back with TLS.
    pub(super) again: bool,
}

/// What clients saw in a round.
#[derive(Default)]
pub(super) struct Round {
    /// Refusals of each attempt, with the tenant and the reply's code.
    refusals: BTreeMap<Attempt, Vec<(&'static str, String)>>,
    /// All attempts, refused or not.
    pub(super) attempts: BTreeSet<Attempt>,
    pub(super) recipients: BTreeMap<&'static str, u64>,
}

impl Sender {
    pub(super) fn all(ours: &Authority, theirs: &Authority) -> Vec<Self> {
        (0..DOMAINS)
            .map(|number| {
                let kind = KINDS[number % KINDS.len()];
                let own = format!("mx.{}", domain(number));
                let identity = match kind {
                    Kind::Trusted => Some(ours.issue(&[&own])),
                    Kind::Untrusted => Some(theirs.issue(&[&own])),
                    Kind::WrongName => Some(ours.issue(&["mx.elsewhere.example"])),
                    _ => None,
                };
                Self {
                    number,
                    kind,
                    identity: identity.map(Arc::new),
                }
            })
            .collect()
    }

    fn tls(&self) -> Tls {
        let tls = match self.kind {
            Kind::Tls12 => Tls::tls12(),
            _ => Tls::tls13(),
        };
        match &self.identity {
            Some(identity) => tls.with(identity),
            None => tls,
        }
    }

    /// Whether a message is sent in TLS at first.
    fn begins_in_tls(&self, message: usize) -> bool {
        match self.kind {
            Kind::Clear | Kind::ComesBack => false,
            Kind::Mixed => message % 2 == 1,
            _ => true,
        }
    }

    /// Sends these messages, each on a connection in clear or in TLS that is used again.
    fn send(&self, host: &Host, messages: std::ops::Range<usize>, round: &mut Round) {
        let (mut clear, mut secured) = (None, None);
        let tls = self.tls();
        let address = host.address("smtp");
        let in_tls = || Client::starttls(address, &tls);
        for message in messages {
            let attempt = Attempt {
                domain: self.number,
                message,
                again: false,
            };
            let client = match self.begins_in_tls(message) {
                true => secured.get_or_insert_with(in_tls),
                false => clear.get_or_insert_with(|| {
                    let mut client = Client::connect(address);
                    client.ehlo();
                    client
                }),
            };
            let was_asked = deliver(client, attempt, round);
            if was_asked && self.kind == Kind::ComesBack {
                let again = Attempt {
                    again: true,
                    ..attempt
                };
                deliver(secured.get_or_insert_with(in_tls), again, round);
            }
        }
        clear.into_iter().chain(secured).for_each(Client::quit);
    }
}

pub(super) fn domain(number: usize) -> String {
    format!("d{number}.partner.example")
}

/// What a message is: the envelope's sender, its recipients, and the header From.
pub(super) fn message(
    attempt: Attempt,
) -> (String, &'static [(&'static str, &'static str)], String) {
    const ANN: (&str, &str) = ("acme", "ann@acme.example");
    const ART: (&str, &str) = ("acme", "art@acme.example");
    const BEN: (&str, &str) = ("bank", "ben@bank.example");
    const CAT: (&str, &str) = ("coop", "cat@coop.example");
    let own = format!("amy@{}", domain(attempt.domain));
    let (sender, header) = (own.clone(), own);
    match attempt.message % 10 {
        0 => (sender, &[BEN, CAT], header),
        1 => (sender, &[BEN], header),
        2 => (sender, &[ANN], "ceo@acme.example".to_owned()),
        3 => (sender, &[("acme", "postmaster@acme.example")], header),
        4 => (String::new(), &[ANN], header),
        5 => (sender, &[ANN, ART], header),
        6 => (sender, &[CAT, BEN], header),
        _ => (sender, &[ANN], header),
    }
}

/// Sends one, and notes what was refused; whether the client was asked for TLS.
fn deliver(client: &mut Client, attempt: Attempt, round: &mut Round) -> bool {
    let (sender, recipients, header) = message(attempt);
    round.attempts.insert(attempt);
    let mut commands = format!("RSET\r\nMAIL FROM:<{sender}>\r\n");
    for (_, recipient) in recipients {
        commands += &format!("RCPT TO:<{recipient}>\r\n");
    }
    client.send(&commands);
    for expected in ["250", "250"] {
        let reply = client.reply();
        assert!(reply.starts_with(expected), "{reply}");
    }
    let mut refused = Vec::new();
    let mut permitted = Vec::new();
    for (tenant, _) in recipients {
        *round.recipients.entry(tenant).or_default() += 1;
        let reply = client.reply();
        match reply.starts_with("250") {
            true => permitted.push(*tenant),
            false => refused.push((*tenant, reply[..3].to_owned())),
        }
    }
    if !permitted.is_empty() {
        client.expect("DATA", "354");
        client.send(format!(
            "From: <{header}>\r\nSubject: x\r\n\r\ntext\r\n.\r\n"
        ));
        let reply = client.reply();
        if !reply.starts_with("250") {
            let code = reply[..3].to_owned();
            refused.extend(permitted.into_iter().map(|tenant| (tenant, code.clone())));
        }
    }
    let was_asked = refused.iter().any(|(_, code)| code == "530");
    if !refused.is_empty() {
        round.refusals.insert(attempt, refused);
    }
    was_asked
}

/// All domains send these messages.
pub(super) fn send_all(
    host: &Host,
    senders: &[Sender],
    messages: &std::ops::Range<usize>,
) -> Round {
    let share = senders.len().div_ceil(SENDERS);
    thread::scope(|scope| {
        let parts: Vec<_> = senders
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let mut round = Round::default();
                    for sender in part {
                        sender.send(host, messages.clone(), &mut round);
                    }
                    round
                })
            })
            .collect();
        let parts = parts
            .into_iter()
            .map(|part| part.join().expect("it sent all"));
        parts.fold(Round::default(), Round::and)
    })
}

impl Round {
    pub(super) fn and(mut self, other: Self) -> Self {
        self.refusals.extend(other.refusals);
        self.attempts.extend(other.attempts);
        for (tenant, count) in other.recipients {
            *self.recipients.entry(tenant).or_default() += count;
        }
        self
    }

    /// Who was refused what, of these attempts.
    pub(super) fn refused(&self, attempts: &BTreeSet<Attempt>) -> Refusals {
        let mut all = Refusals::new();
        let counted = self.refusals.iter().filter(|(a, _)| attempts.contains(a));
        for (attempt, refusals) in counted {
            let (sender, ..) = message(*attempt);
            let (_, domain) = sender.split_once('@').unwrap_or_default();
            for (tenant, code) in refusals {
                let told = all.entry((tenant, domain.to_owned())).or_default();
                match code.as_str() {
                    "530" => told.asked += 1,
                    _ => told.refused += 1,
                }
            }
        }
        all
    }
}
