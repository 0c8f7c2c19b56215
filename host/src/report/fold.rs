//! From receipts to a report, one after the other.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::days::Days;
use super::{Inquiry, LeftOut, Report, Sender, Traffic};
use crate::decision::Verdict;
use crate::facts::{Direction, Facts};
use crate::policy::Moment;
use crate::receipt::VerdictEvent;
use crate::receipt::filter::parts;
use crate::receipt::read::Receipt;

/// The null sender, as it is in an envelope.
const NULL: &str = "<>";

/// A report in the making.
#[derive(Debug)]
pub struct Folding {
    inquiry: Inquiry,
    /// Senders that are told apart at most.
    limit: usize,
    total: Traffic,
    /// By domain, for mail to the tenant and from it.
    senders: HashMap<String, [Option<Traffic>; 2]>,
    others: Option<Traffic>,
    days: Days,
}

impl Folding {
    /// Nothing yet, for this inquiry, telling so many senders apart.
    pub fn new(inquiry: Inquiry, limit: usize) -> Self {
        Self {
            days: Days::of(inquiry.period),
            inquiry,
            limit,
            total: Traffic::default(),
            senders: HashMap::new(),
            others: None,
        }
    }

    /// Counts the next receipt, which is the tenant's and of the period; the order is that
    /// of time.
    pub fn add(&mut self, receipt: &Receipt) {
        let Receipt::Decided(first, second, _) = receipt else {
            return;
        };
        let event = second.as_ref().unwrap_or(first);
        let wanted = self.inquiry.direction;
        if wanted.is_some_and(|direction| direction != event.facts.direction) {
            return;
        }
        self.add_day(event, receipt.id().made());
        let events = [Some(first), second.as_ref()].into_iter().flatten();
        let monitored = events.filter_map(|event| event.monitored.as_deref());
        let monitored: Vec<_> = monitored.collect();
        self.total.add(event, &monitored);
        self.of(&event.facts).add(event, &monitored);
    }

    /// On the day of the first decision, as receipts are found by.
    fn add_day(&mut self, event: &VerdictEvent, second: u64) {
        let Some(day) = self.days.at(second) else {
            return;
        };
        match (&event.verdict, event.facts.connection.secured()) {
            (Verdict::Refused(_), _) => day.refused += 1,
            (Verdict::Accepted, Some(_)) => day.secured += 1,
            (Verdict::Accepted, None) => day.clear += 1,
        }
    }

    /// The numbers to which this message is added beside the total. Whoever comes when
    /// there is no more room is one of the others: partners have come by then, for whom a
    /// day or two is enough.
    fn of(&mut self, facts: &Facts) -> &mut Traffic {
        let sender = sender(facts);
        let has_room = self.senders.len() < self.limit;
        match self.senders.get_mut(&sender) {
            None if !has_room => self.others.get_or_insert_default(),
            _ => self.senders.entry(sender).or_default()[way(facts.direction)]
                .get_or_insert_default(),
        }
    }

    /// The report, made at this time, for which these were not counted.
    pub fn finish(self, left_out: LeftOut, made: Moment) -> Report {
        let Inquiry {
            tenant,
            period,
            direction,
        } = self.inquiry;
        let mut senders: Vec<Sender> = self
            .senders
            .into_iter()
            .flat_map(|(sender, ways)| {
                let both = DIRECTIONS.into_iter().zip(ways);
                both.filter_map(move |(direction, traffic)| {
                    Some(Sender {
                        sender: sender.clone(),
                        direction,
                        traffic: traffic?,
                    })
                })
            })
            .collect();
        senders.sort_by(|one, other| {
            let key = |s: &Sender| (Reverse(s.traffic.messages), way(s.direction));
            key(one)
                .cmp(&key(other))
                .then_with(|| one.sender.cmp(&other.sender))
        });
        Report {
            tenant,
            from: Moment::new(period.from()),
            to: Moment::new(period.to()),
            made,
            direction,
            left_out,
            total: self.total,
            senders,
            others: self.others,
            days: self.days.into_days(),
        }
    }
}

const DIRECTIONS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

/// The index in [`DIRECTIONS`].
fn way(direction: Direction) -> usize {
    match direction {
        Direction::Inbound => 0,
        Direction::Outbound => 1,
    }
}

/// Domain of the envelope sender, or what stands for it.
pub(crate) fn sender(facts: &Facts) -> String {
    match &facts.sender {
        None => NULL.to_owned(),
        sender => parts(sender.as_ref()).0,
    }
}
