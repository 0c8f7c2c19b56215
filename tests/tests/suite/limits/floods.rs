//! A flood is counted whole and logged in a few lines.

use std::time::Instant;

use super::{PATIENCE, deliver, from, hits, site};

#[test]
fn a_flood_of_refusals_leaves_few_lines() {
    const FLOOD: u64 = 500;
    let host = site("client_session_rate = 1").start();
    let smtp = host.address("smtp");
    let began = Instant::now();
    while hits(&host, "client_session_rate") < FLOOD {
        for _ in 0..FLOOD / 5 {
            let told = from([127, 10, 0, 1], smtp).reply();
            assert!(told.starts_with("220") || told.starts_with("421"), "{told}");
        }
        assert!(began.elapsed() < PATIENCE);
    }
    let seconds = began.elapsed().as_secs() as usize;
    deliver([127, 10, 0, 2], smtp);
    let log = host.stop().log;
    let lines = log.matches("a limit turned a client away").count();
    assert!(lines >= 1 && lines <= seconds + 2, "{lines} in {seconds} s");
}
