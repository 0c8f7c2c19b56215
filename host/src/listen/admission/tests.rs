use std::net::Ipv4Addr;

use proptest::prelude::*;
use tokio::time::{Duration, timeout};

use super::*;

fn bounds() -> Bounds {
    Bounds {
        sessions: 100,
        client_sessions: 3,
        network_sessions: 5,
        client_session_rate: 1,
        client_handshake_rate: 1,
        exempt: vec!["10.0.0.0/8".parse().expect("a network")],
    }
}

fn admission(bounds: Bounds) -> Arc<Admission> {
    Arc::new(Admission::new(bounds, Shutdown::default(), Arc::default()))
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Admission {
    /// A session of a client behind a proxy.
    fn proxied(self: &Arc<Self>, client: IpAddr) -> Result<Place, Limit> {
        let mut place = self.enter(address("10.0.0.1"))?;
        place.admit(client)?;
        Ok(place)
    }

    fn is_empty(&self) -> bool {
        let books = self.books();
        let counted = books.clients.is_empty() && books.networks.is_empty();
        counted && books.waiting.is_empty() && (books.sessions, books.leaving) == (0, 0)
    }
}

#[test]
fn each_limit_stops_at_its_number_and_touches_nobody_else() {
    let admission = admission(bounds());
    let begin = |client: &str| admission.begin(address(client));
    let first: Vec<_> = (0..3).map(|_| begin("192.0.2.1").expect("room")).collect();
    assert_eq!(begin("192.0.2.1").err(), Some(Limit::ClientSessions));
    let others = [begin("192.0.2.2"), begin("192.0.2.2")].map(|place| place.expect("room"));
    assert_eq!(begin("192.0.2.3").err(), Some(Limit::NetworkSessions));
    let _next_network = begin("192.0.3.1").expect("another network is not affected");
    drop(first);
    let _again = begin("192.0.2.3").expect("there is room again");
    drop(others);
    let exempt: Vec<_> = (0..20)
        .map(|_| begin("10.1.1.1").expect("exempt"))
        .collect();
    assert!(exempt.iter().all(|place| place.shake_hands().is_ok()));
}

#[test]
fn addresses_of_one_ipv6_subnet_are_one_client() {
    let admission = admission(bounds());
    let begin = |client: &str| admission.begin(address(client));
    let same = ["2001:db8:1:1::1", "2001:db8:1:1::2", "2001:db8:1:1:ffff::"];
    let _three = same.map(|client| begin(client).expect("room"));
    assert_eq!(begin("2001:db8:1:1::4").err(), Some(Limit::ClientSessions));
    let _two = ["2001:db8:1:2::1", "2001:db8:1:3::1"].map(|client| begin(client).expect("room"));
    assert_eq!(begin("2001:db8:1:4::1").err(), Some(Limit::NetworkSessions));
    let _other = begin("2001:db8:2::1").expect("another network");
}

#[test]
fn sessions_and_handshakes_have_rates() {
    let admission = admission(bounds());
    let client = address("192.0.2.1");
    for _ in 0..10 {
        drop(admission.begin(client).expect("a bucket of ten"));
    }
    let over = admission.begin(client).err();
    assert_eq!(over, Some(Limit::ClientSessionRate));
    let other = admission.begin(address("192.0.2.2")).expect("a neighbour");
    for _ in 0..10 {
        other.shake_hands().expect("a bucket of ten");
    }
    assert_eq!(other.shake_hands(), Err(Limit::ClientHandshakeRate));
    drop(other);
    assert!(admission.is_empty());
}

/// Sessions of as many clients as there are; none of them does anything.
fn silent(admission: &Arc<Admission>, number: u32) -> Vec<Place> {
    let client = |number: u32| IpAddr::from(Ipv4Addr::from(number << 8));
    let mut places = Vec::new();
    for number in 0..number {
        places.push(admission.begin(client(number)).expect("room"));
    }
    places
}

#[test]
fn a_newcomer_finds_a_place_and_who_did_least_has_to_go() {
    let admission = admission(bounds());
    let mut places = silent(&admission, 88);
    places[0].wait(Standing::Greeted);
    places[1].wait(Standing::Engaged);
    places[2].work();
    assert!(places.iter().all(|place| !place.is_asked_to_make_room()));
    // From here on each has to be made room for.
    let newcomers: Vec<_> = (0..12)
        .map(|_| admission.begin(address("10.0.0.1")).expect("room"))
        .collect();
    let asked = places.iter().map(Place::is_asked_to_make_room);
    let gone: Vec<_> = (0..).zip(asked).filter(|(_, asked)| *asked).collect();
    let gone: Vec<_> = gone.into_iter().map(|(index, _)| index).collect();
    assert_eq!(gone, (3..15).collect::<Vec<_>>());
    // Nobody has left yet: the limit is the limit.
    let over = admission.begin(address("10.0.0.1")).err();
    assert_eq!(over, Some(Limit::Sessions));
    places.retain(|place| !place.is_asked_to_make_room());
    drop(admission.begin(address("10.0.0.1")).expect("room was made"));
    drop((places, newcomers));
    assert!(admission.is_empty());
}

#[test]
fn nobody_is_asked_to_make_room_while_there_is_room_or_work_to_do() {
    let admission = admission(bounds());
    let mut places = silent(&admission, 88);
    assert!(places.iter().all(|place| !place.is_asked_to_make_room()));
    for place in &mut places {
        place.work();
    }
    let _newcomers: Vec<_> = (0..12)
        .map(|_| admission.begin(address("10.0.0.1")).expect("room"))
        .collect();
    assert!(places.iter().all(|place| !place.is_asked_to_make_room()));
}

#[test]
fn what_was_proven_is_kept_and_noise_is_no_progress() {
    let admission = admission(Bounds {
        sessions: 8,
        ..bounds()
    });
    let enter = || admission.begin(address("10.0.0.1")).expect("room");
    let (mut regular, mut noisy, mut secured) = (enter(), enter(), enter());
    regular.wait(Standing::Engaged);
    regular.work();
    regular.wait(Standing::Greeted);
    noisy.wait(Standing::Greeted);
    secured.wait(Standing::Greeted);
    // After STARTTLS it has to greet again.
    secured.wait(Standing::Connected);
    noisy.wait(Standing::Greeted);
    let mut busy = Vec::new();
    let mut one_more = || {
        let mut place = enter();
        place.work();
        busy.push(place);
    };
    (0..4).for_each(|_| one_more());
    for next in [noisy, secured, regular] {
        assert!(!next.is_asked_to_make_room());
        let newcomer = enter();
        assert!(next.is_asked_to_make_room());
        drop((next, newcomer));
        one_more();
    }
}

#[test]
fn a_small_host_keeps_no_room_free() {
    let admission = admission(Bounds {
        sessions: 1,
        ..bounds()
    });
    let first = admission.begin(address("10.0.0.1")).expect("room");
    assert_eq!(
        admission.begin(address("10.0.0.2")).err(),
        Some(Limit::Sessions)
    );
    assert!(!first.is_asked_to_make_room());
}

/// What a client does that is over its limit, or its network, costs it alone.
#[test]
fn nobody_has_to_go_for_a_client_that_is_over_its_limit() {
    let begin: fn(&Arc<Admission>, IpAddr) -> Result<Place, Limit> = Admission::begin;
    for begin in [begin, Admission::proxied] {
        let admission = admission(bounds());
        let begin = |client: &str| begin(&admission, address(client));
        let three = [(); 3].map(|()| begin("192.0.2.1").expect("room"));
        let _two = [(); 2].map(|()| begin("192.0.2.2").expect("room"));
        let others = silent(&admission, 83);
        let all = || three.iter().chain(&others);
        for _ in 0..30 {
            assert!(begin("192.0.2.1").is_err() && begin("192.0.2.3").is_err());
        }
        assert!(all().all(|place| !place.is_asked_to_make_room()));
        let _newcomer = begin("198.51.100.1").expect("room");
        let asked = all().filter(|place| place.is_asked_to_make_room());
        assert_eq!(asked.count(), 1);
    }
}

#[test]
fn a_client_behind_a_proxy_does_not_make_room_by_leaving_itself() {
    let admission = admission(bounds());
    let mut first = admission.enter(address("10.0.0.1")).expect("room");
    let others = silent(&admission, 87);
    let _unknown = admission.enter(address("10.0.0.1")).expect("room");
    assert!(!others[0].is_asked_to_make_room());
    first.admit(address("192.0.2.1")).expect("room");
    assert!(!first.is_asked_to_make_room());
    assert!(others[0].is_asked_to_make_room());
}

/// Else nobody behind a proxy would ever find one again.
#[test]
fn where_all_places_are_taken_a_proxys_connection_makes_room() {
    let admission = admission(bounds());
    let mut places = Vec::new();
    for _ in 0..100 {
        let mut place = admission.begin(address("10.0.0.1")).expect("room");
        place.work();
        places.push(place);
    }
    for place in &mut places {
        place.wait(Standing::Engaged);
    }
    let enter = || admission.enter(address("10.0.0.1"));
    assert_eq!(enter().err(), Some(Limit::Sessions));
    places.retain(|place| !place.is_asked_to_make_room());
    assert_eq!(places.len(), 99);
    drop(enter().expect("room was made"));
}

/// A turn says since when a session has come no further.
#[test]
fn work_and_content_are_progress_and_going_back_is_none() {
    let admission = admission(bounds());
    let mut place = admission.begin(address("10.0.0.1")).expect("room");
    let mut since = |change: fn(&mut Place)| {
        change(&mut place);
        match place.queue {
            Queue::Waiting(turn) => turn.progress(),
            Queue::Working | Queue::Asked => unreachable!("it waits"),
        }
    };
    let connected = since(|_| {});
    let greeted = since(|place| place.wait(Standing::Greeted));
    let engaged = since(|place| {
        place.work();
        place.wait(Standing::Engaged);
    });
    assert!(connected < greeted && greeted < engaged);
    assert_eq!(since(|place| place.wait(Standing::Engaged)), engaged);
    let content = since(Place::progress);
    assert!(engaged < content);
    assert_eq!(since(|place| place.wait(Standing::Greeted)), content);
}

proptest! {
    /// Whatever sessions do, in whatever order: there are never more than allowed, none
    /// is asked to leave without need, and in the end nothing is left in the books.
    #[test]
    fn the_books_balance(
        sessions in 1usize..40,
        steps in prop::collection::vec((0u8..7, any::<prop::sample::Index>(), any::<u8>()), 0..400),
    ) {
        let bounds = Bounds {
            sessions,
            client_session_rate: 10_000,
            ..bounds()
        };
        let comfortable = bounds.comfortable().unwrap_or(usize::MAX);
        let admission = admission(bounds);
        let mut places: Vec<Place> = Vec::new();
        for (step, which, octet) in steps {
            let chosen = (!places.is_empty()).then(|| which.index(places.len()));
            match (step, chosen) {
                (0, _) | (_, None) => {
                    let asked = places.iter().filter(|place| place.is_asked_to_make_room()).count();
                    let staying = places.len() - asked;
                    let client = IpAddr::from([192, 0, octet % 4, octet % 16]);
                    let begun = match octet < 128 {
                        true => admission.begin(client),
                        false => admission.proxied(client),
                    };
                    match begun {
                        Ok(place) => places.push(place),
                        Err(Limit::Sessions) => prop_assert_eq!(places.len(), sessions),
                        Err(_) => {}
                    }
                    let asked_now = places.iter().filter(|place| place.is_asked_to_make_room()).count();
                    prop_assert!(asked_now == asked || staying >= comfortable);
                    prop_assert!(asked_now <= asked + 1);
                }
                (6, Some(which)) => places[which].progress(),
                (1, Some(which)) => drop(places.swap_remove(which)),
                (2, Some(which)) => places[which].work(),
                (3, Some(which)) => places[which].wait(Standing::Greeted),
                (4, Some(which)) => places[which].wait(Standing::Engaged),
                (_, Some(which)) => places[which].wait(Standing::Connected),
            }
            prop_assert!(places.len() <= sessions);
        }
        drop(places);
        prop_assert!(admission.is_empty());
    }
}

#[tokio::test]
async fn who_stops_asks_all_to_leave_and_needs_no_room() {
    let shutdown = Shutdown::default();
    let admission = Admission::new(bounds(), shutdown.clone(), Arc::default());
    let place = Arc::new(admission).begin(address("10.0.0.1"));
    let mut place = place.expect("room");
    place.work();
    let told = timeout(Duration::from_millis(1), place.asked_to_leave()).await;
    assert!(told.is_err(), "nobody has asked");
    shutdown.drain();
    place.leaving().await;
    assert_eq!(place.asked_to_leave().await, Leave::Stopping);
    assert!(!place.is_asked_to_make_room());
    let told = timeout(Duration::from_millis(1), place.asked_to_make_room()).await;
    assert!(told.is_err(), "there are no newcomers");
}

#[tokio::test]
async fn who_is_to_make_room_hears_of_it() {
    let admission = admission(Bounds {
        sessions: 8,
        ..bounds()
    });
    let places: Vec<Place> = (0..8)
        .map(|_| admission.begin(address("10.0.0.1")).expect("room"))
        .collect();
    let told = timeout(Duration::from_secs(60), places[0].asked_to_leave()).await;
    assert_eq!(told, Ok(Leave::MakeRoom));
    places[0].asked_to_make_room().await;
    let other = timeout(Duration::from_millis(1), places[7].asked_to_leave()).await;
    assert!(other.is_err(), "it came last");
}
