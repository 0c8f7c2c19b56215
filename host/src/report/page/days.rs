//! Messages by day, as columns that stand on each other.

use maud::{Markup, html};

use crate::report::Day;
use crate::report::figures::count;

/// The picture in units of its own; it is as wide as the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 240.0;
/// For the numbers on the left, and the days below.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 26.0;
const TOP: f64 = 10.0;

/// Days that have their name below at most: more would touch each other.
const NAMED: usize = 8;

/// Between two columns, as a share of the room of one.
const GAP: f64 = 0.22;

/// Widest column: few days are no walls.
const WIDEST: f64 = 56.0;

pub(super) fn chart(days: &[Day]) -> Markup {
    let most = days.iter().map(Day::messages).max().unwrap_or(0);
    let (step, top) = scale(most);
    let room = (WIDTH - LEFT) / days.len().max(1) as f64;
    let every = days.len().div_ceil(NAMED).max(1);
    html! {
        svg.days viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img"
            aria-label="Messages by day: over TLS, in clear, refused" {
            @for line in 0..=(top / step) {
                @let y = height(line * step, top);
                line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                text.axis x=(LEFT - 10.0) y=(y + 4.0) text-anchor="end" { (count(line * step)) }
            }
            @for (place, day) in days.iter().enumerate() {
                @let left = room.mul_add(place as f64, LEFT);
                (column(day, left, room, top))
                @if place % every == 0 {
                    text.axis x=(tenth(left + room / 2.0)) y=(HEIGHT - 6.0) text-anchor="middle" {
                        (short(&day.day))
                    }
                }
            }
        }
        ul.legend {
            li { span.key.secured {} "over TLS" }
            li { span.key.clear {} "in clear" }
            li { span.key.refused {} "refused" }
        }
    }
}

fn column(day: &Day, left: f64, room: f64, top: u64) -> Markup {
    let width = (room * (1.0 - GAP)).min(WIDEST);
    let x = tenth(left + (room - width) / 2.0);
    let parts = [
        ("secured", day.secured),
        ("clear", day.clear),
        ("refused", day.refused),
    ];
    let mut below = 0;
    let mut stacked = Vec::new();
    for (class, messages) in parts {
        let (low, high) = (height(below, top), height(below + messages, top));
        below += messages;
        if messages > 0 {
            // What there is can be seen.
            stacked.push((class, high, (low - high).max(0.8)));
        }
    }
    html! {
        g {
            title {
                (day.day) ": " (count(day.secured)) " over TLS, " (count(day.clear))
                " in clear, " (count(day.refused)) " refused"
            }
            @for (class, y, height) in stacked {
                rect class=(class) x=(x) y=(tenth(y)) width=(tenth(width)) height=(tenth(height)) {}
            }
        }
    }
}

/// Where so many messages are, from above.
fn height(messages: u64, top: u64) -> f64 {
    let room = HEIGHT - TOP - BOTTOM;
    tenth(room.mul_add(-(messages as f64 / top as f64), HEIGHT - BOTTOM))
}

fn tenth(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

/// The distance of lines, of which there are up to five, and the height of the last.
fn scale(most: u64) -> (u64, u64) {
    let mut unit = 1_u64;
    loop {
        for step in [1, 2, 5] {
            let step = unit.saturating_mul(step);
            if most <= step.saturating_mul(5) {
                return (step, most.max(1).div_ceil(step).saturating_mul(step));
            }
        }
        if unit > most {
            return (most, most);
        }
        unit = unit.saturating_mul(10);
    }
}

/// Month and day.
fn short(day: &str) -> String {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let number = |part: Option<&str>| part.and_then(|part| part.parse::<usize>().ok());
    let mut parts = day.split('-').skip(1);
    let month = number(parts.next()).and_then(|month| MONTHS.get(month.wrapping_sub(1)));
    match (month, number(parts.next())) {
        (Some(month), Some(day)) => format!("{day} {month}"),
        _ => day.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few_and_round_and_above_everything() {
        for (most, step, top) in [
            (0, 1, 1),
            (1, 1, 1),
            (4, 1, 4),
            (5, 1, 5),
            (9, 2, 10),
            (21, 5, 25),
            (12_345, 5_000, 15_000),
        ] {
            assert_eq!(scale(most), (step, top), "{most}");
        }
        for most in (0..100_000).step_by(37).chain([u64::MAX, u64::MAX / 2]) {
            let (step, top) = scale(most);
            assert!(top >= most && step > 0 && top / step <= 5, "{most}");
        }
    }

    #[test]
    fn days_are_short() {
        assert_eq!(short("2026-11-03"), "3 Nov");
        assert_eq!(short("tomorrow"), "tomorrow");
    }
}
