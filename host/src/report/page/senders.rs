//! The table of senders.

use maud::{Markup, html};

use super::bars::bar;
use super::name;
use crate::facts::Direction;
use crate::policy::Moment;
use crate::report::figures::{count, days_until, share};
use crate::report::{Report, Sender, Traffic};
use crate::unicode;

/// Senders on the page at most: beyond, a table is for a spreadsheet (`--csv`).
const ROWS: usize = 500;

/// Days until a certificate ends that are few.
const SOON: i64 = 30;

pub(super) fn table(report: &Report) -> Markup {
    let (shown, left) = report.senders.split_at(report.senders.len().min(ROWS));
    html! {
        table.senders {
            thead {
                tr {
                    th scope="col" rowspan="2" { "Sender" }
                    th.number scope="col" rowspan="2" { "Messages" }
                    th.bar scope="col" rowspan="2" { "TLS · clear" }
                    th.group scope="colgroup" colspan="3" { "Encryption" }
                    th.group scope="colgroup" colspan="4" { "Certificate" }
                    th.group scope="colgroup" colspan="2" { "Refused" }
                }
                tr {
                    th.number scope="col" { "in clear" }
                    th.number scope="col" { "TLS 1.3" }
                    th.number scope="col" { "post-qu." }
                    th.number scope="col" { "shown" }
                    th.number scope="col" { "trusted" }
                    th.number scope="col" { "covers" }
                    th.number scope="col" { "days left" }
                    th.number scope="col" { "now" }
                    th.number scope="col" { "would be" }
                }
            }
            tbody {
                @for sender in shown {
                    tr { th scope="row" { (named(sender)) } (cells(&sender.traffic, report.made)) }
                }
            }
            @if let Some(others) = &report.others {
                tfoot {
                    tr {
                        th scope="row" { "everybody else" small { "who came when " (count(report.senders.len() as u64)) " were told apart" } }
                        (cells(others, report.made))
                    }
                }
            }
        }
        @if !left.is_empty() {
            p.note {
                "And " (count(left.len() as u64)) " senders more, with "
                (count(left.iter().map(|sender| sender.traffic.messages).sum()))
                " messages: " code { "portcullis report --csv" } " has all of them."
            }
        }
    }
}

/// As it is in the envelope; below it what it means to people, where that is another.
fn named(sender: &Sender) -> Markup {
    let name = name(sender);
    let (read, sound) = idna::domain_to_unicode(&sender.sender);
    let read = unicode::shown(&read);
    let is_other = sound.is_ok() && read != name;
    html! {
        span.name { (name) }
        @if is_other { small { (read) } }
        @if sender.sender == "<>" { small { "the null sender, of reports about mail" } }
        @if sender.direction == Direction::Outbound { small.way { "from the tenant" } }
    }
}

fn cells(traffic: &Traffic, made: Moment) -> Markup {
    let all = traffic.messages;
    let certificates = &traffic.certificates;
    let parts = [("secured", traffic.secured()), ("clear", traffic.clear)];
    html! {
        td.number { (count(all)) }
        td.bar { (bar(&parts, all)) }
        (part(traffic.clear, all, traffic.secured() == 0))
        (part(traffic.modern(), all, false))
        (part(traffic.post_quantum, all, false))
        (part(certificates.presented, all, false))
        (part(certificates.trusted, all, false))
        (part(certificates.covering, all, false))
        (ends(traffic, made))
        (number(traffic.refused))
        (number(traffic.would_be_refused))
    }
}

fn part(part: u64, all: u64, is_bad: bool) -> Markup {
    let class = match part {
        0 => "number nothing",
        _ if is_bad => "number bad",
        _ => "number",
    };
    html! { td class=(class) { (share(part, all)) } }
}

fn number(number: u64) -> Markup {
    let class = if number == 0 {
        "number nothing"
    } else {
        "number bad"
    };
    html! { td class=(class) { (count(number)) } }
}

/// Days that are left of the certificate that was seen last, and of the first to end.
fn ends(traffic: &Traffic, made: Moment) -> Markup {
    let certificates = &traffic.certificates;
    let Some(last) = certificates.last_expires else {
        return html! { td.number.nothing { "–" } };
    };
    let last = days_until(last, made);
    let first = certificates
        .first_expires
        .map(|first| days_until(first, made));
    let class = if last < SOON { "number bad" } else { "number" };
    html! {
        td class=(class) {
            @if last < 0 { "over" } @else { (last) }
            @if let Some(first) = first.filter(|first| *first != last) {
                small { "another: " @if first < 0 { "over" } @else { (first) } }
            }
        }
    }
}
