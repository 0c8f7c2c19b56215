//! Parts of a whole, each a line with a bar.

use maud::{Markup, html};

use crate::report::figures::{count, share};
use crate::report::{Tally, Traffic};
use crate::unicode;

/// Lines of one breakdown at most; the rest is one more.
const LINES: usize = 8;

/// A line: what it is, how much, and how it is coloured.
type Line<'a> = (&'a str, u64, &'static str);

pub(super) fn versions(total: &Traffic) -> Markup {
    let mut lines = counted(&total.versions, "secured");
    lines.sort_by(|one, other| other.0.cmp(one.0));
    if total.clear > 0 {
        lines.push(("in clear", total.clear, "clear"));
    }
    table(&lines, total.messages)
}

pub(super) fn key_exchanges(total: &Traffic) -> Markup {
    let lines = counted(&total.key_exchanges, "secured");
    html! {
        (table(&lines, total.secured()))
        @if total.secured() > 0 {
            p.note {
                (share(total.post_quantum, total.secured()))
                " resists an attacker who records today and has a quantum computer later."
            }
        }
    }
}

pub(super) fn ciphers(total: &Traffic) -> Markup {
    table(&counted(&total.ciphers, "secured"), total.secured())
}

pub(super) fn refusals(total: &Traffic) -> Markup {
    let lines = counted(&total.refusals, "refused");
    let would = counted(&total.would_be_refusals, "would");
    html! {
        (table(&lines, total.messages))
        @if !would.is_empty() {
            h3 { "And would be, by policies in monitor mode" }
            (table(&would, total.messages))
        }
    }
}

fn counted<'a>(tally: &'a Tally, class: &'static str) -> Vec<Line<'a>> {
    let words = tally.by_count().into_iter();
    words.map(|(word, count)| (word, count, class)).collect()
}

fn table(lines: &[Line<'_>], whole: u64) -> Markup {
    let (shown, rest) = lines.split_at(lines.len().min(LINES));
    let rest: u64 = rest.iter().map(|line| line.1).sum();
    let rest = (rest > 0).then_some(("others", rest, "secured"));
    let most = lines.iter().map(|line| line.1).max().unwrap_or(0);
    html! {
        @if lines.is_empty() {
            p.none { "None." }
        } @else {
            table.bars {
                @for (word, number, class) in shown.iter().copied().chain(rest) {
                    tr {
                        th scope="row" { (breakable(&unicode::shown(word))) }
                        td.bar { (bar(&[(class, number)], most)) }
                        td.number { (count(number)) }
                        td.number { (share(number, whole)) }
                    }
                }
            }
        }
    }
}

/// A long name may be broken behind its underscores.
fn breakable(name: &str) -> Markup {
    html! {
        @for (place, part) in name.split('_').enumerate() {
            @if place > 0 { "_" wbr; }
            (part)
        }
    }
}

/// Parts that lie behind each other, of this whole.
pub(super) fn bar(parts: &[(&'static str, u64)], whole: u64) -> Markup {
    let mut before = 0;
    let mut placed = Vec::new();
    for (class, part) in parts.iter().copied().filter(|(_, part)| *part > 0) {
        placed.push((class, percent(before, whole), percent(part, whole).max(0.6)));
        before += part;
    }
    html! {
        svg.bar viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
            rect.track x="0" y="0" width="100" height="10" {}
            @for (class, x, width) in placed {
                rect class=(class) x=(x) y="0" width=(width) height="10" {}
            }
        }
    }
}

/// In hundredths of a percent.
fn percent(part: u64, whole: u64) -> f64 {
    let share = part as f64 / whole.max(1) as f64;
    (share * 10_000.0).round() / 100.0
}
