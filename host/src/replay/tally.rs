//! What a replay has found so far: pure, and bounded.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::again::{Again, Unknown};
use super::findings::{Asked, Broken, Findings, Others, Pair, RefusedSender, Undetermined};
use crate::decision::{Refusal, Verdict};
use crate::facts::ReceiptId;
use crate::receipt::filter::parts;
use crate::receipt::{FailureRecord, VerdictEvent};

/// Sender domains that are told apart: some megabytes. Few tenants have more partners.
const SENDERS: usize = 20_000;

/// Clients of one sender domain that are told apart.
const CLIENTS: usize = 16;

/// Refused senders in the findings: a megabyte of JSON.
const SHOWN: usize = 5_000;

/// Receipts that are named of each pair of verdicts.
const SAMPLES: usize = 3;

/// A verdict in a word: `accepted`, or the kind of refusal.
type Word = &'static str;

/// What counts of one receipt.
#[derive(Debug)]
pub(super) struct Noted {
    id: ReceiptId,
    /// Domain of the envelope sender; none for the null sender.
    sender: Option<String>,
    client: IpAddr,
    in_tls: bool,
    was: Word,
    would_be: Result<Outcome, Unknown>,
    failure: Option<FailureRecord>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Refused(Word),
    /// Refused for want of TLS: the client may come back with it.
    Asked(Word),
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Tally {
    findings: Findings,
    pairs: BTreeMap<(Word, Word), Pair>,
    senders: HashMap<Option<String>, Sender>,
    others: Others,
    unknown: BTreeMap<Unknown, Undetermined>,
    failures: BTreeMap<String, Broken>,
    limit: usize,
}

/// What was found of one sender domain.
#[derive(Debug, Default)]
struct Sender {
    receipts: u64,
    in_tls: u64,
    refused: u64,
    newly: u64,
    undetermined: u64,
    by: BTreeMap<Word, u64>,
    asked: u64,
    clients: BTreeMap<IpAddr, Client>,
}

#[derive(Debug, Default)]
struct Client {
    asked: u64,
    in_tls: bool,
}

fn word(verdict: &Verdict) -> Word {
    match verdict {
        Verdict::Accepted => "accepted",
        Verdict::Refused(refusal) => refusal.word(),
    }
}

impl Outcome {
    fn of(verdict: &Verdict) -> Self {
        let Verdict::Refused(refusal) = verdict else {
            return Self::Accepted;
        };
        match refusal {
            Refusal::Plaintext
            | Refusal::PlaintextOnly
            | Refusal::TlsUnavailable
            | Refusal::ClaimedTls => Self::Asked(refusal.word()),
            _ => Self::Refused(refusal.word()),
        }
    }

    fn word(self) -> Word {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(word) | Self::Asked(word) => word,
        }
    }
}

impl Noted {
    /// A receipt by its first event and its last, and what became of it again.
    pub(super) fn new(first: &VerdictEvent, last: &VerdictEvent, again: Again) -> Self {
        let facts = &first.facts;
        let sender = facts.sender.as_ref();
        Self {
            id: first.id,
            sender: sender.map(|sender| parts(Some(sender)).0),
            client: facts.connection.client.ip().to_canonical(),
            in_tls: facts.connection.secured().is_some(),
            was: word(&last.verdict),
            would_be: again.verdict.as_ref().map(Outcome::of).map_err(|u| *u),
            failure: again.failure,
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            findings: Findings::default(),
            pairs: BTreeMap::new(),
            senders: HashMap::new(),
            others: Others::default(),
            unknown: BTreeMap::new(),
            failures: BTreeMap::new(),
            limit: SENDERS,
        }
    }
}

impl Tally {
    #[cfg(test)]
    pub(super) fn of_senders(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// How many it has taken in.
    pub(super) fn receipts(&self) -> u64 {
        self.findings.receipts
    }

    /// Takes one receipt in.
    pub(super) fn take(&mut self, noted: Noted) {
        self.findings.receipts += 1;
        let id = noted.id.to_string();
        if let Some(failure) = &noted.failure {
            self.fail(failure, &id);
        }
        match noted.would_be {
            Ok(outcome) => self.pair(noted.was, outcome.word(), &id),
            Err(unknown) => self.unknown(unknown, &id),
        }
        let is_known = self.senders.contains_key(&noted.sender);
        if !is_known && self.senders.len() >= self.limit {
            self.others.take(&noted);
            return;
        }
        let sender = self.senders.entry(noted.sender).or_default();
        let was_accepted = noted.was == "accepted";
        sender.take(noted.would_be, was_accepted, noted.client, noted.in_tls);
    }

    fn pair(&mut self, was: Word, would_be: Word, id: &str) {
        let findings = &mut self.findings;
        let count = match (was, would_be) {
            (was, now) if was == now => &mut findings.unchanged,
            ("accepted", _) => &mut findings.newly_refused,
            (_, "accepted") => &mut findings.newly_accepted,
            _ => &mut findings.refused_otherwise,
        };
        *count += 1;
        let pair = self.pairs.entry((was, would_be)).or_insert_with(|| Pair {
            was: was.to_owned(),
            would_be: would_be.to_owned(),
            receipts: 0,
            samples: Vec::new(),
        });
        pair.receipts += 1;
        if pair.samples.len() < SAMPLES {
            pair.samples.push(id.to_owned());
        }
    }

    fn unknown(&mut self, unknown: Unknown, id: &str) {
        self.findings.undetermined += 1;
        let found = self.unknown.entry(unknown);
        let found = found.or_insert_with(|| Undetermined {
            cause: unknown.as_str().to_owned(),
            detail: unknown.detail(),
            receipts: 0,
            sample: id.to_owned(),
        });
        found.receipts += 1;
    }

    fn fail(&mut self, failure: &FailureRecord, id: &str) {
        let found = self.failures.entry(failure.code.clone());
        let found = found.or_insert_with(|| Broken {
            code: failure.code.clone(),
            detail: failure.detail.clone(),
            receipts: 0,
            sample: id.to_owned(),
        });
        found.receipts += 1;
    }

    /// All that was found. `erased` and `unreadable` were passed over.
    pub(super) fn finish(self, erased: u64, unreadable: u64) -> Findings {
        let refused = self.senders.into_iter();
        let mut refused: Vec<RefusedSender> = refused
            .filter(|(_, sender)| sender.refused > 0)
            .map(|(name, sender)| sender.finish(name))
            .collect();
        refused.sort_by(|a, b| {
            let key = |sender: &RefusedSender| std::cmp::Reverse(sender.refused);
            key(a).cmp(&key(b)).then_with(|| a.sender.cmp(&b.sender))
        });
        let mut pairs: Vec<Pair> = self.pairs.into_values().collect();
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.receipts));
        let senders = refused.len();
        let mut asked = Asked::default();
        for sender in &refused {
            asked.add(&sender.asked);
        }
        let mut others = self.others;
        for more in refused.drain(SHOWN.min(senders)..) {
            others.senders_not_shown += 1;
            others.receipts += more.receipts;
            others.refused += more.refused;
            others.newly_refused += more.newly_refused;
        }
        asked.add(&Asked {
            receipts: others.asked,
            ..Asked::default()
        });
        Findings {
            receipts: self.findings.receipts + erased + unreadable,
            erased,
            unreadable,
            pairs,
            asked,
            refused,
            others: (others != Others::default()).then_some(others),
            undetermined_by: self.unknown.into_values().collect(),
            failures: self.failures.into_values().collect(),
            ..self.findings
        }
    }
}

impl Others {
    fn take(&mut self, noted: &Noted) {
        self.receipts += 1;
        let Ok(outcome) = noted.would_be else {
            return;
        };
        self.refused += u64::from(outcome != Outcome::Accepted);
        self.asked += u64::from(matches!(outcome, Outcome::Asked(_)));
        let is_new = outcome != Outcome::Accepted && noted.was == "accepted";
        self.newly_refused += u64::from(is_new);
    }
}

impl Sender {
    fn take(
        &mut self,
        would_be: Result<Outcome, Unknown>,
        was_accepted: bool,
        client: IpAddr,
        in_tls: bool,
    ) {
        self.receipts += 1;
        self.in_tls += u64::from(in_tls);
        let is_asked = matches!(would_be, Ok(Outcome::Asked(_)));
        match would_be {
            Ok(Outcome::Accepted) => {}
            Ok(Outcome::Refused(word) | Outcome::Asked(word)) => {
                self.refused += 1;
                self.newly += u64::from(was_accepted);
                *self.by.entry(word).or_default() += 1;
            }
            Err(_) => self.undetermined += 1,
        }
        self.asked += u64::from(is_asked);
        if !(is_asked || in_tls) {
            return;
        }
        if self.clients.len() < CLIENTS || self.clients.contains_key(&client) {
            let client = self.clients.entry(client).or_default();
            client.asked += u64::from(is_asked);
            client.in_tls |= in_tls;
        }
    }

    fn finish(self, sender: Option<String>) -> RefusedSender {
        let by_clients = self.clients.values().filter(|client| client.in_tls);
        let by = self.by.into_iter();
        let sender_has = self.in_tls > 0;
        RefusedSender {
            sender,
            receipts: self.receipts,
            in_tls: self.in_tls,
            refused: self.refused,
            newly_refused: self.newly,
            undetermined: self.undetermined,
            by: by.map(|(word, count)| (word.to_owned(), count)).collect(),
            asked: Asked {
                receipts: self.asked,
                of_senders_in_tls: if sender_has { self.asked } else { 0 },
                of_clients_in_tls: by_clients.map(|client| client.asked).sum(),
            },
        }
    }
}

impl Asked {
    fn add(&mut self, other: &Self) {
        self.receipts += other.receipts;
        self.of_senders_in_tls += other.of_senders_in_tls;
        self.of_clients_in_tls += other.of_clients_in_tls;
    }
}

#[cfg(test)]
mod tests;
