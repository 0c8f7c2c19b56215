use super::*;

fn tenant(id: &str) -> TenantId {
    id.parse().expect("an id")
}

fn job(replays: &Replays, of: &str, has_ended: bool) -> Ulid {
    let job = Arc::new(Job {
        id: Ulid::generate(),
        tenant: tenant(of),
        from: None,
        to: None,
        at: 0,
        began: 0,
        progress: Arc::default(),
        cancel: CancellationToken::new(),
        ending: watch::Sender::new(Ending::Running),
        ended: Mutex::default(),
    });
    if has_ended {
        job.end(Ending::Cancelled);
    }
    replays.lock().jobs.push(Arc::clone(&job));
    job.id
}

#[test]
fn one_at_a_time_of_each_tenant_and_not_too_many() {
    let replays = Replays::new(Shutdown::default());
    let place = replays.place(&tenant("a")).expect("the first");
    assert_eq!(replays.place(&tenant("a")).err(), Some(JobError::Beginning));
    drop(place);
    let ids: Vec<String> = (0..RUNNING).map(|n| format!("t{n}")).collect();
    let places: Vec<Place> = ids
        .iter()
        .map(|id| replays.place(&tenant(id)).expect("a place"))
        .collect();
    assert_eq!(replays.place(&tenant("a")).err(), Some(JobError::Full));
    drop(places);
    assert!(replays.place(&tenant("a")).is_ok());
}

#[test]
fn what_has_ended_is_kept_for_a_while() {
    let replays = Replays::new(Shutdown::default());
    let (a, b) = (tenant("a"), tenant("b"));
    let running = job(&replays, "a", false);
    let ended: Vec<Ulid> = (0..=KEPT_OF_ONE)
        .map(|_| job(&replays, "a", true))
        .collect();
    let other = job(&replays, "b", true);
    assert!(replays.one(&a, ended[0]).is_none(), "the oldest");
    for id in [running, ended[1], ended[KEPT_OF_ONE]] {
        assert!(replays.one(&a, id).is_some());
    }
    assert!(replays.one(&a, other).is_none(), "another tenant's");
    replays.forget(&a);
    assert!(replays.one(&a, running).is_none());
    assert!(replays.one(&b, other).is_some());
    if let Some(long_ago) = Instant::now().checked_sub(KEPT) {
        let job = replays.one(&b, other).expect("it is there");
        *job.ended.lock().expect("not poisoned") = Some(long_ago);
        assert!(replays.one(&b, other).is_none());
    }
}
