use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::config::Fault;

fn cell(tenant: &str, name: &str, queue: &Arc<Queue>) -> Arc<Pending> {
    let place = Place {
        tenant: tenant.parse().expect("a tenant's id"),
        name: name.parse().expect("a name"),
        at: Position::file(Path::new("a.toml")),
    };
    let work = Work {
        content: ModuleContent::Stored(Digest::of(name.as_bytes())),
        checks: Arc::default(),
    };
    Pending::new(place, work, queue)
}

fn refusal(cell: &Pending, fault: Fault) -> Refusal {
    Refusal {
        is_of_settings: false,
        fault,
        tenant: cell.tenant.clone(),
        module: cell.name.clone(),
        digest: cell.digest,
        is_passing: false,
    }
}

/// That it is no module.
fn refused(cell: &Pending) -> Found {
    Found {
        module: None,
        unfit: HashSet::new(),
        refused: vec![refusal(cell, cell.at.fault("no module"))],
    }
}

/// The name of what is next; none where nobody has a turn.
async fn next<'q>(queue: &'q Queue) -> Option<queue::Turn<'q>> {
    timeout(Duration::from_secs(1), queue.next()).await.ok()
}

fn name(turn: Option<&queue::Turn<'_>>) -> Option<String> {
    turn.map(|turn| turn.cell.name.to_string())
}

#[tokio::test(start_paused = true)]
async fn what_mail_waits_for_is_first_and_of_each_tenant_one_at_a_time() {
    let queue = Arc::<Queue>::default();
    let cells = [("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")];
    let cells = cells.map(|(tenant, name)| cell(tenant, name, &queue));
    queue.put_first(&cells[2]);
    // Twice is once.
    queue.put_first(&cells[2]);
    let first = next(&queue).await;
    assert_eq!(name(first.as_ref()).as_deref(), Some("b1"));
    let second = next(&queue).await;
    assert_eq!(name(second.as_ref()).as_deref(), Some("a1"));
    let third = next(&queue).await;
    assert_eq!(name(third.as_ref()).as_deref(), Some("c1"), "not a2");
    assert!(next(&queue).await.is_none(), "a is at work");
    assert!(!queue.is_idle());
    drop(second);
    let last = next(&queue).await;
    assert_eq!(name(last.as_ref()).as_deref(), Some("a2"));
    drop((first, third, last));
    assert!(queue.is_idle() && next(&queue).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_are_compiled_once() {
    let queue = Arc::<Queue>::default();
    let (_a, _b) = (cell("a", "m", &queue), cell("b", "m", &queue));
    let first = next(&queue).await;
    assert!(first.is_some() && next(&queue).await.is_none());
    drop(first);
    assert!(next(&queue).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_turn_hears_of_it() {
    let queue = Arc::<Queue>::default();
    let (_a1, _a2) = (cell("a", "a1", &queue), cell("a", "a2", &queue));
    let first = next(&queue).await;
    let waiting = async { name(next(&queue).await.as_ref()) };
    let ends = async {
        tokio::task::yield_now().await;
        drop(first);
    };
    let (second, ()) = tokio::join!(waiting, ends);
    assert_eq!(second.as_deref(), Some("a2"));
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_looked_at_comes_after_the_others_and_what_is_gone_goes() {
    let queue = Arc::<Queue>::default();
    let (a, _b) = (cell("a", "a1", &queue), cell("b", "b1", &queue));
    drop(cell("c", "c1", &queue));
    let turn = next(&queue).await.expect("two wait");
    assert_eq!(turn.cell.name.as_str(), "a1");
    turn.put_back();
    // Mail that waits for it goes on waiting, and stays before those for whom nobody does.
    queue.put_first(&a);
    let turn = next(&queue).await.expect("two wait");
    turn.put_back();
    for expected in ["a1", "b1"] {
        let turn = next(&queue).await;
        assert_eq!(name(turn.as_ref()).as_deref(), Some(expected));
    }
    assert!(next(&queue).await.is_none(), "c is gone");
    // Nobody waits for these.
    let queue = Arc::<Queue>::default();
    let (_a, _b) = (cell("a", "a1", &queue), cell("b", "b1", &queue));
    next(&queue).await.expect("two wait").put_back();
    for expected in ["b1", "a1"] {
        let turn = next(&queue).await;
        assert_eq!(name(turn.as_ref()).as_deref(), Some(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_waits_no_longer_than_its_bound() {
    let queue = Arc::<Queue>::default();
    let (_other, cell) = (cell("a", "a1", &queue), cell("b", "b1", &queue));
    let settings = Digest::of(b"{}");
    let late = |waited| Err(Failure::NotCompiled { waited });
    let asked = cell.module(settings, Wait::No).await.map(|_| ());
    assert_eq!(asked, late(Duration::ZERO));
    // It was not waited for.
    let turn = next(&queue).await;
    assert_eq!(name(turn.as_ref()).as_deref(), Some("a1"));
    turn.expect("it is there").put_back();
    let began = tokio::time::Instant::now();
    let asked = cell.module(settings, Wait::Mail).await.map(|_| ());
    assert_eq!(asked, late(PATIENCE));
    assert_eq!(began.elapsed(), PATIENCE);
    let turn = next(&queue).await;
    assert_eq!(name(turn.as_ref()).as_deref(), Some("b1"));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_what_became_of_it() {
    let queue = Arc::<Queue>::default();
    let cell = cell("a", "a1", &queue);
    let settings = Digest::of(b"{}");
    for wait in [Wait::Mail, Wait::Long] {
        let waits = async { cell.module(settings, wait).await.map(|_| ()) };
        let fills = async {
            tokio::task::yield_now().await;
            if !cell.is_done() {
                cell.settle(refused(&cell));
            }
        };
        let (asked, ()) = tokio::join!(waits, fills);
        let refused = Failure::Host("the module is not loaded".into());
        assert_eq!(asked, Err(refused), "{wait:?}");
    }
    assert!(cell.is_done() && cell.compiled().is_none());
    assert_eq!(cell.refused().len(), 1);
}

/// A policy whose settings do not fit fails alone.
#[tokio::test]
async fn settings_that_do_not_fit_are_not_asked_with() {
    let cell = cell("a", "a1", &Arc::default());
    let [unfit, fit] = [&b"{\"a\":1}"[..], b"{}"].map(Digest::of);
    cell.settle(Found {
        unfit: [unfit].into(),
        ..refused(&cell)
    });
    let said = |asked: Result<&Arc<Module>, Failure>| match asked {
        Ok(_) => "asked".to_owned(),
        Err(failure) => failure.to_string(),
    };
    let of_unfit = said(cell.module(unfit, Wait::Mail).await);
    assert!(
        of_unfit.contains("does not take its settings"),
        "{of_unfit}"
    );
    let of_fit = said(cell.module(fit, Wait::Mail).await);
    assert!(of_fit.contains("not loaded"), "{of_fit}");
}

/// What a cell was filled from is not kept.
#[test]
fn bytes_are_held_until_the_store_has_them_or_nobody_needs_them() {
    let bytes = Bytes::from(b"bytes".to_vec());
    let digest = Digest::of(&bytes);
    let queue = Arc::<Queue>::default();
    let given = |name: &str| {
        let place = Place {
            tenant: "a".parse().expect("a tenant's id"),
            name: name.parse().expect("a name"),
            at: Position::file(Path::new("a.toml")),
        };
        let work = Work {
            content: ModuleContent::Given {
                bytes: bytes.clone(),
                digest,
            },
            checks: Arc::default(),
        };
        Pending::new(place, work, &queue)
    };
    let (stored, filled) = (given("a1"), given("a2"));
    assert!(!bytes.is_unique());
    stored.is_stored();
    filled.settle(refused(&filled));
    assert!(bytes.is_unique());
    assert_eq!((stored.digest(), filled.digest()), (digest, digest));
}
