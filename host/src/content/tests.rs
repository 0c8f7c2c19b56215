use super::*;

async fn take(receiving: &mut Receiving, octets: &[u8]) {
    for piece in octets.chunks(READ) {
        receiving.room().extend_from_slice(piece);
        receiving.settle().await;
    }
}

async fn receive(spool: &Spool, octets: &[u8]) -> Result<Content, KeepError> {
    let mut receiving = spool.receive();
    take(&mut receiving, octets).await;
    receiving.finish().await
}

fn whole(content: &Content) -> Vec<u8> {
    let mut octets = content.front().to_vec();
    let mut buffer = [0; 1000];
    loop {
        let read = content
            .read_behind_front(octets.len() as u64, &mut buffer)
            .expect("the file can be read");
        if read == 0 {
            return octets;
        }
        octets.extend_from_slice(&buffer[..read]);
    }
}

/// A header section of so many octets, and a body.
fn message(header: usize, length: usize) -> Vec<u8> {
    let mut octets = vec![b'a'; header.saturating_sub(4)];
    octets.extend_from_slice(b"\r\n\r\n");
    octets.extend((octets.len()..length).map(|at| (at % 251) as u8));
    octets
}

struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn spool(&self, memory: usize) -> Spool {
        Spool::new(self.0.path().join("spool"), memory as u64)
    }
}

#[tokio::test]
async fn long_content_comes_back_whole_and_leaves_no_file() {
    let directory = Directory::new();
    let spool = directory.spool(64 << 20);
    for length in [4, 1000, FRONT, FRONT + 1, (3 << 20) + 17] {
        let sent = message(4, length);
        let content = receive(&spool, &sent).await.expect("kept");
        assert_eq!(content.len(), length as u64);
        assert!(content.front().len() <= FRONT + READ, "{length}");
        assert_eq!(content.behind.is_some(), length >= FRONT, "{length}");
        assert!(whole(&content) == sent, "{length}");
    }
    let left = std::fs::read_dir(&spool.directory).expect("it was made");
    assert_eq!(left.count(), 0);
    assert!(receive(&spool, b"").await.expect("kept").is_empty());
}

/// Whatever waits for a disk that hangs has all the threads: the client hears of it.
#[tokio::test(start_paused = true)]
async fn no_client_waits_for_a_disk_that_hangs() {
    let spool = Spool {
        threads: Share::new(0),
        ..Directory::new().spool(64 << 20)
    };
    let kept = receive(&spool, &message(4, FRONT + 1)).await;
    assert_eq!(kept.map(drop), Err(KeepError::Disk));
}

/// However much comes, what is allocated is what was leased, and a read.
#[tokio::test]
async fn a_front_takes_no_more_than_was_leased() {
    let spool = Directory::new().spool(64 << 20);
    let mut receiving = spool.receive();
    for piece in message(4, FRONT).chunks(READ) {
        receiving.room().extend_from_slice(piece);
        receiving.settle().await;
        let leased = receiving.leased.len() * LEASE;
        let (length, capacity) = (receiving.front.len(), receiving.front.capacity());
        assert!(
            capacity <= leased + LEASE,
            "{capacity} with {leased} leased"
        );
        assert!(
            length >= FRONT || length < leased,
            "{length} with {leased} leased"
        );
    }
}

#[tokio::test]
async fn fronts_share_what_memory_there_is() {
    let directory = Directory::new();
    // Three eighths of it are ample: one long front and a part.
    let spool = directory.spool(3 * FRONT);
    let sent = message(4, 2 << 20);
    let first = receive(&spool, &sent).await.expect("kept");
    let second = receive(&spool, &sent).await.expect("kept");
    let third = receive(&spool, &sent).await.expect("kept");
    assert_eq!(first.front().len(), FRONT);
    assert!((SMALLEST_FRONT..FRONT).contains(&second.front().len()));
    assert_eq!(third.front().len(), SMALLEST_FRONT);
    assert!(whole(&third) == sent);
    drop((first, second));
    let fourth = receive(&spool, &sent).await.expect("kept");
    assert_eq!(fourth.front().len(), FRONT, "given back");
}

/// Long fronts leave room for those that come after them.
#[tokio::test]
async fn what_is_essential_is_not_taken_by_long_fronts() {
    let directory = Directory::new();
    let spool = directory.spool(2 << 20);
    let sent = message(4, 2 << 20);
    let mut kept = Vec::new();
    // Of what is essential, each takes its smallest front for itself.
    for _ in 0..8 {
        kept.push(receive(&spool, &sent).await.expect("kept"));
    }
    assert!(kept.iter().all(|content| content.len() == 2 << 20));
}

/// As many as there is memory for take as much of it as they can get, in any order, and
/// keep it: each still has what it cannot do without.
#[tokio::test]
async fn whoever_holds_what_there_is_room_is_left_for_each() {
    const MESSAGES: usize = 40;
    for long_first in [true, false] {
        let directory = Directory::new();
        let spool = directory.spool(MESSAGES * (128 << 10));
        let mut held = Vec::new();
        for number in 0..MESSAGES {
            let length = match (number < MESSAGES / 4) == long_first {
                true => FRONT - READ,
                false => 3 * SMALLEST_FRONT,
            };
            let mut receiving = spool.receive();
            take(&mut receiving, &message(4, length)).await;
            assert_eq!(receiving.error(), None, "{number}, {long_first}");
            held.push(receiving);
        }
        assert!(spool.lease_ample(1).is_none(), "they took what they could");
        for receiving in held {
            let content = receiving.finish().await.expect("kept");
            let sent = message(4, usize::try_from(content.len()).expect("it is short"));
            assert!(whole(&content) == sent);
        }
    }
}

#[tokio::test]
async fn without_memory_content_is_refused_and_later_taken() {
    let directory = Directory::new();
    let spool = directory.spool(4 * LEASE);
    let taken: Vec<_> = (0..4).map(|_| spool.receive()).collect();
    assert!(taken.iter().all(|receiving| receiving.error().is_none()));
    let mut refused = spool.receive();
    assert_eq!(refused.error(), Some(KeepError::NoRoom));
    take(&mut refused, &message(4, 2 << 20)).await;
    assert!(refused.front.capacity() <= READ, "nothing is kept");
    assert_eq!(refused.finish().await.err(), Some(KeepError::NoRoom));
    drop(taken);
    assert!(receive(&spool, &message(4, 1000)).await.is_ok());
    // A front can be had, and not what is needed to write behind it.
    let refused = receive(&spool, &message(4, 2 << 20)).await;
    assert_eq!(refused.err(), Some(KeepError::NoRoom));
    assert!(receive(&spool, &message(4, 1000)).await.is_ok());
}

#[tokio::test]
async fn a_header_section_ends_in_the_front_or_is_too_long() {
    let directory = Directory::new();
    let spool = directory.spool(64 << 20);
    for (header, taken) in [(4, true), (FRONT, true), (FRONT + READ + 1, false)] {
        let content = receive(&spool, &message(header, 2 << 20)).await;
        assert_eq!(
            content.err(),
            (!taken).then_some(KeepError::LongHeader),
            "{header}"
        );
    }
    let body = [b"\r\n".to_vec(), vec![b'a'; 2 << 20]].concat();
    assert!(
        receive(&spool, &body).await.is_ok(),
        "an empty header section"
    );
    let header = vec![b'a'; FRONT - 1];
    assert!(
        receive(&spool, &header).await.is_ok(),
        "all is in the front"
    );
}

/// Where the front is short for want of memory, a long header section is no fault of
/// the client's.
#[tokio::test]
async fn a_header_section_that_memory_is_too_short_for() {
    let directory = Directory::new();
    let spool = directory.spool(2 * (SMALLEST_FRONT + PIECE));
    let _ample = spool.lease_ample(6).expect("nobody else has it");
    let header = message(SMALLEST_FRONT + READ + 1, 2 << 20);
    assert_eq!(
        receive(&spool, &header).await.err(),
        Some(KeepError::NoRoom)
    );
    let header = message(SMALLEST_FRONT - READ, 2 << 20);
    assert!(receive(&spool, &header).await.is_ok());
}

#[tokio::test]
async fn a_disk_that_fails_is_an_error() {
    let directory = Directory::new();
    let spool = directory.spool(64 << 20);
    std::fs::write(&spool.directory, "in the way").expect("written");
    let mut receiving = spool.receive();
    take(&mut receiving, &message(4, 2 << 20)).await;
    assert_eq!(receiving.error(), Some(KeepError::Disk));
    receiving.discard();
    assert_eq!(receiving.finish().await.err(), Some(KeepError::Disk));
    assert!(receive(&spool, &message(4, 1000)).await.is_ok());
}

/// The file is `/dev/full`.
#[tokio::test]
async fn a_disk_that_is_full_is_an_error_in_the_middle_or_at_the_end() {
    let directory = Directory::new();
    let spool = directory.spool(64 << 20);
    for length in [FRONT + 3, FRONT + 3 * PIECE] {
        let mut receiving = spool.receive();
        take(&mut receiving, &message(4, FRONT)).await;
        let Behind::File(writing) = &mut receiving.behind else {
            unreachable!("the front is full");
        };
        let full = File::options().write(true).open("/dev/full");
        writing.file = Unnamed {
            file: Some(full.expect("Linux has it")),
            threads: spool.threads.clone(),
        };
        take(&mut receiving, &vec![b'a'; length - FRONT]).await;
        assert_eq!(
            receiving.error().is_some(),
            length > FRONT + PIECE,
            "{length}"
        );
        assert_eq!(
            receiving.finish().await.err(),
            Some(KeepError::NoRoom),
            "{length}"
        );
    }
}

#[tokio::test]
async fn what_is_thrown_away_gives_its_memory_back() {
    let directory = Directory::new();
    let spool = directory.spool(64 << 20);
    let free =
        |spool: &Spool| spool.essential.available_permits() + spool.ample.available_permits();
    let all = free(&spool);
    let mut receiving = spool.receive();
    take(&mut receiving, &message(4, 2 << 20)).await;
    assert_eq!(all - free(&spool), (FRONT + PIECE) / LEASE);
    receiving.discard();
    assert_eq!(free(&spool), all);
}
