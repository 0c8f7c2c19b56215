//! The report as a page of HTML: for a screen, light or dark, and for paper.
//!
//! **It is whole in itself**: no script, nothing from elsewhere, and a browser is told to
//! allow neither. **Text from strangers is text**: whatever is put into the page is escaped
//! where that is done ([`maud`]), and characters that mislead are shown as what they are.

mod bars;
mod days;
mod senders;
mod tiles;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::figures::{count, moment};
use super::{Report, Sender};
use crate::facts::Direction;
use crate::unicode;

/// No script and no request, should there ever be something to make one of.
const ALLOWED: &str = "default-src 'none'; style-src 'unsafe-inline'";

const STYLE: &str = include_str!("page/style.css");

/// The page.
pub fn page(report: &Report) -> String {
    let title = format!("How mail came: {}", report.tenant);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(ALLOWED);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (head(report)) (body(report)) (foot(report)) }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report) -> Markup {
    let way = match report.direction {
        None => "",
        Some(Direction::Inbound) => ", to the tenant",
        Some(Direction::Outbound) => ", from the tenant",
    };
    html! {
        header {
            p.over { "Portcullis · how mail came" (way) }
            h1 { (report.tenant) }
            p.when {
                span { (moment(report.from)) " – " (moment(report.to)) }
                span.made { "made " (moment(report.made)) }
            }
            p.summary {
                @let summary = report.summary();
                @if let Some(figure) = summary.figure { strong { (figure) } " " }
                (summary.rest)
            }
        }
    }
}

fn body(report: &Report) -> Markup {
    if report.total.messages == 0 {
        return Markup::default();
    }
    html! {
        (tiles::list(&report.total))
        section { h2 { "Messages by day" } (days::chart(&report.days)) }
        div.pair {
            section { h2 { "TLS version" } (bars::versions(&report.total)) }
            section { h2 { "Key exchange" } (bars::key_exchanges(&report.total)) }
        }
        div.pair {
            section { h2 { "Cipher suite" } (bars::ciphers(&report.total)) }
            section {
                h2 { "Refused, and why" }
                (bars::refusals(&report.total))
            }
        }
        section.wide { h2 { "By sender" } (senders::table(report)) }
    }
}

fn foot(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "A message is a recipient that was decided: who is refused and comes again is \
                 counted each time. Senders are the domains of envelopes, which anybody can \
                 write: a certificate that covers the domain is what proves one."
            }
            (left_out(report.left_out.erased, "an address was erased"))
            (left_out(report.left_out.unreadable, "something is damaged, or another version's"))
        }
    }
}

fn left_out(receipts: u64, why: &str) -> Markup {
    html! {
        @if receipts > 0 {
            p { "Not counted: " (count(receipts)) " receipts in which " (why) "." }
        }
    }
}

/// The name of a sender as it is read; escaped once more where it is put into the page.
fn name(sender: &Sender) -> String {
    unicode::shown(&sender.sender)
}
