//! What is shown: tables, and bounds that hold or are missed.

use std::time::Duration;

use portcullis::author::bench::Cost;

use crate::changes::Round as Change;
use crate::decisions::KINDS;
use crate::mail::{ROUTES, Round, STARTTLS, SYNCED, Turn};
use crate::memory::Idle;
use crate::receipts::{PLACES, Round as Kept};
use crate::replay::{CANDIDATES, Replayed, Size};
use crate::site::SUBJECTS;

/// Place of the subject in [`SUBJECTS`] that is held to the floor: what a policy costs has a
/// bound of its own.
const NO_POLICY: usize = 1;

/// Something that must not be more than its limit.
pub(crate) struct Bound {
    what: &'static str,
    found: f64,
    limit: f64,
}

impl Bound {
    fn holds(&self) -> bool {
        self.found <= self.limit
    }
}

/// Shows the costs of decisions, and what they are held to.
pub(crate) fn decisions(rounds: &[[Cost; KINDS.len()]]) -> Vec<Bound> {
    println!("\n## The cost of a decision\n");
    println!("| | median, µs | 99 %, µs | × warm |\n| --- | ---: | ---: | ---: |");
    let of = |kind: usize, read: fn(&Cost) -> Duration| {
        median(rounds.iter().map(|round| micros(read(&round[kind]))))
    };
    let medians: Vec<f64> = (0..KINDS.len())
        .map(|kind| of(kind, |c| c.median))
        .collect();
    for (kind, name) in KINDS.iter().enumerate() {
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} |",
            medians[kind],
            of(kind, |cost| cost.p99),
            medians[kind] / medians[2]
        );
    }
    vec![Bound {
        what: "a module in a fresh store, µs at the median",
        found: medians[1],
        limit: 15.0,
    }]
}

/// Shows what messages cost, and what they are held to.
pub(crate) fn mail(routes: &[Vec<Round>]) -> Vec<Bound> {
    println!("\n## Processor time of the server for 1,000 messages of 4 KiB, in seconds\n");
    println!("In brackets the ratio to the floor of the same turn.\n");
    println!(
        "| | floor | no policy | a constant | a module |\n| --- | ---: | ---: | ---: | ---: |"
    );
    let mut without_policy = Vec::new();
    for (route, rounds) in ROUTES.iter().zip(routes) {
        let of = |place: usize| of_turns(rounds, |turn| turn[place].as_secs_f64());
        let ratio = |place: usize| {
            of_turns(rounds, |turn| {
                turn[place].as_secs_f64() / turn[0].as_secs_f64()
            })
        };
        print!("| {} | {:.3} |", route.name, of(0));
        for place in 1..SUBJECTS.len() {
            print!(" {:.3} ({:.2}) |", of(place), ratio(place));
        }
        println!();
        without_policy.push(ratio(NO_POLICY));
    }
    let bound = |what, route: usize| Bound {
        what,
        found: without_policy[route],
        limit: 1.25,
    };
    vec![
        bound(
            "the host without a policy, with STARTTLS, × the floor",
            STARTTLS,
        ),
        bound(
            "the host without a policy, with STARTTLS and fsync, × the floor with both",
            SYNCED,
        ),
    ]
}

/// The median of the rounds, each of which is the median of its turns.
fn of_turns(rounds: &[Round], read: impl Fn(&Turn) -> f64) -> f64 {
    median(rounds.iter().map(|round| median(round.iter().map(&read))))
}

/// Shows what idle connections cost, and what they are held to.
pub(crate) fn memory(rounds: &[[Idle; 2]]) -> Vec<Bound> {
    println!("\n## Resident memory of an idle connection, in KiB\n");
    println!("| | floor | host | × floor |\n| --- | ---: | ---: | ---: |");
    let mut bounds = Vec::new();
    let kinds = [
        ("in clear", "an idle connection in clear, × the floor"),
        ("in TLS", "an idle connection in TLS, × the floor"),
    ];
    for (kind, (name, what)) in kinds.into_iter().enumerate() {
        let of = |place: usize| median(rounds.iter().map(|round| round[place][kind]));
        let ratio = median(rounds.iter().map(|round| round[1][kind] / round[0][kind]));
        println!("| {name} | {:.1} | {:.1} | {ratio:.2} |", of(0), of(1));
        bounds.push(Bound {
            what,
            found: ratio,
            limit: 1.5,
        });
    }
    bounds
}

/// Shows what receipts cost. They are held to no bound of their own: messages are.
pub(crate) fn receipts(rounds: &[Kept]) {
    println!("\n## Receipts on the disk\n");
    let receipts = median(rounds.iter().map(|round| round.receipts));
    println!("The store takes {receipts:.0} receipts a second, in batches of 2,048.\n");
    println!("Processor time of the host for 1,000 messages in clear, 100 per connection, in");
    println!("seconds, by where receipts are; in brackets the ratio to day files.\n");
    println!("| day files | the store | both |\n| ---: | ---: | ---: |");
    for place in 0..PLACES.len() {
        let of = |round: &Kept, place: usize| round.messages[place].as_secs_f64();
        let found = median(rounds.iter().map(|round| of(round, place)));
        let ratio = median(rounds.iter().map(|round| of(round, place) / of(round, 0)));
        print!("| {found:.3} ({ratio:.2}) ");
    }
    println!("|");
}

/// Shows how long changes take, and what they are held to.
pub(crate) fn changes(rounds: &[Change]) -> Vec<Bound> {
    println!(
        "\n## Until a change is in force, with 1,000 tenants (100 with --quick), in milliseconds\n"
    );
    println!(
        "| a policy by the API | an entry of 100,000 by the API | a policy in a tree | a module in a tree | a start without a change |\n\
         | ---: | ---: | ---: | ---: | ---: |"
    );
    let of = |read: fn(&Change) -> Duration| {
        median(rounds.iter().map(|round| micros(read(round)) / 1000.0))
    };
    let changes = [
        (
            "a policy by the API in force, ms",
            of(|round| round.written),
        ),
        ("an entry by the API in force, ms", of(|round| round.entry)),
        ("a policy in a tree in force, ms", of(|round| round.policy)),
        ("a module in a tree in force, ms", of(|round| round.module)),
    ];
    for (_, found) in changes {
        print!("| {found:.0} ");
    }
    println!("| {:.0} |", of(|round| round.start));
    let bound = |(what, found)| Bound {
        what,
        found,
        limit: 1000.0,
    };
    changes.map(bound).into()
}

/// Shows what replays take, and what they are held to: ten seconds for 100,000 receipts, and
/// memory that does not grow with ten times as many.
pub(crate) fn replay(sizes: &[Size]) -> Vec<Bound> {
    println!("\n## A change asked about the mail of the past, on two cores\n");
    println!(
        "| receipts | candidate | seconds | receipts a second | memory before, MiB | at its highest, MiB |"
    );
    println!("| ---: | --- | ---: | ---: | ---: | ---: |");
    let mut bounds = Vec::new();
    let mut growth = Vec::new();
    for size in sizes {
        for (place, name) in CANDIDATES.iter().enumerate() {
            let of = |read: fn(&Replayed) -> f64| {
                median(size.rounds.iter().map(|round| read(&round[place])))
            };
            let seconds = of(|replayed| replayed.took.as_secs_f64());
            let before = of(|replayed| replayed.before as f64 / 1024.0);
            let peak = of(|replayed| replayed.peak as f64 / 1024.0);
            let receipts = size.receipts;
            let rate = receipts as f64 / seconds;
            println!(
                "| {receipts} | {name} | {seconds:.2} | {rate:.0} | {before:.0} | {peak:.0} |"
            );
            growth.push(peak - before);
            if receipts == 100_000 {
                let whats = [
                    "100,000 receipts that a constant is asked about, s",
                    "100,000 receipts that a module is asked about, s",
                ];
                bounds.push(Bound {
                    what: whats[place],
                    found: seconds,
                    limit: 10.0,
                });
            }
        }
    }
    let (first, last) = growth.split_at(growth.len() / 2);
    let most = |growth: &[f64]| growth.iter().copied().fold(0.0, f64::max);
    bounds.push(Bound {
        what: "memory of a replay of ten times as many receipts, × the memory",
        found: most(last) / most(first).max(1.0),
        limit: 1.5,
    });
    bounds
}

/// Shows the bounds; whether all hold.
pub(crate) fn bounds(bounds: &[Bound]) -> bool {
    println!("\n## Bounds\n");
    println!("| | found | at most | |\n| --- | ---: | ---: | --- |");
    for bound in bounds {
        let verdict = if bound.holds() { "holds" } else { "**missed**" };
        println!(
            "| {} | {:.2} | {:.2} | {verdict} |",
            bound.what, bound.found, bound.limit
        );
    }
    bounds.iter().all(Bound::holds)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let of = |place: usize| values.get(place).copied().unwrap_or(f64::NAN);
    let length = values.len();
    f64::midpoint(of(length.saturating_sub(1) / 2), of(length / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(found: f64, limit: f64) -> bool {
        bounds(&[Bound {
            what: "what was measured",
            found,
            limit,
        }])
    }

    #[test]
    fn a_bound_holds_up_to_its_limit_and_for_no_number_beyond() {
        for (found, expected) in [
            (0.0, true),
            (1.249, true),
            (1.25, true),
            (1.250_001, false),
            (f64::INFINITY, false),
            (f64::NAN, false),
        ] {
            assert_eq!(holds(found, 1.25), expected, "{found}");
        }
    }

    #[test]
    fn what_was_not_measured_holds_no_bound() {
        assert!(median(std::iter::empty()).is_nan());
        assert!(!bounds(&mail(&vec![Vec::new(); ROUTES.len()])));
        assert!(!bounds(&memory(&[])));
        assert!(!bounds(&decisions(&[])));
    }

    #[test]
    fn one_that_is_missed_is_enough() {
        let bound = |found| Bound {
            what: "what was measured",
            found,
            limit: 1.0,
        };
        assert!(bounds(&[bound(0.5), bound(1.0)]));
        assert!(!bounds(&[bound(0.5), bound(1.5), bound(1.0)]));
    }

    /// Rounds in which the host costs so much of the floor without a policy, and ever so
    /// much with one. One turn of each strikes it alone, and one the floor.
    fn rounds(ratios: &[f64]) -> Vec<Round> {
        let turn = |of: [f64; 4]| of.map(|ratio| Duration::from_secs(1).mul_f64(ratio));
        let round = |ratio: &f64| {
            let struck = [[1.0, 99.0, 9.0, 9.0], [99.0, *ratio, 9.0, 9.0]];
            let quiet = [[1.0, *ratio, 9.0, 9.0]];
            struck.into_iter().chain(quiet).map(turn).collect()
        };
        ratios.iter().map(round).collect()
    }

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |values: &[f64]| median(values.iter().copied());
        assert_eq!(of(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(of(&[9.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(of(&[]).is_nan());
    }

    #[test]
    fn mail_is_held_to_the_median_ratio_without_a_policy() {
        let others = rounds(&[9.0]);
        for (ratios, expected) in [
            (&[1.0, 1.2, 9.0][..], true),
            (&[1.0, 1.3, 9.0], false),
            (&[9.0, 9.0, 1.0], false),
        ] {
            for route in [STARTTLS, SYNCED] {
                let mut routes = vec![others.clone(); ROUTES.len()];
                routes[STARTTLS] = rounds(&[1.0]);
                routes[SYNCED] = rounds(&[1.0]);
                routes[route] = rounds(ratios);
                assert_eq!(bounds(&mail(&routes)), expected, "{ratios:?}");
            }
        }
    }
}
