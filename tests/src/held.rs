//! A compile worker that is held up, and with it whoever waits for its module.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::site::Host;

/// Longest wait for a worker, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A worker that does not go on until this goes out of scope.
pub struct HeldWorker(Pid);

impl HeldWorker {
    /// Waits until a host has something compiled, and stops that. It has to take a while,
    /// or it is over before.
    pub fn of(host: &Host) -> Self {
        let began = Instant::now();
        loop {
            for worker in workers(host.pid()) {
                // It may be over by now.
                if kill_process(worker, Signal::STOP).is_ok() && is_stopped(worker) {
                    return Self(worker);
                }
            }
            assert!(began.elapsed() < PATIENCE, "nothing is compiled");
        }
    }

    /// Lets it go on.
    pub fn go_on(self) {}
}

impl Drop for HeldWorker {
    fn drop(&mut self) {
        // It may have been killed meanwhile, with its host.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Its compile workers, whichever of its threads has started them. One that is not the
/// worker yet is the host for as long, and is left alone.
fn workers(host: i32) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(format!("/proc/{host}/task")) else {
        return Vec::new();
    };
    let children = threads.flatten().filter_map(|thread| {
        let children = fs::read_to_string(thread.path().join("children")).ok()?;
        let pids = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        Some(pids.filter_map(Pid::from_raw).collect::<Vec<Pid>>())
    });
    let is_worker = |pid: &Pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero()));
        let line = line.unwrap_or_default();
        String::from_utf8_lossy(&line).contains("\0compile-worker\0")
    };
    children.flatten().filter(is_worker).collect()
}

/// Waits until it is, or is over.
fn is_stopped(worker: Pid) -> bool {
    let began = Instant::now();
    loop {
        let status = fs::read_to_string(format!("/proc/{}/stat", worker.as_raw_nonzero()));
        let status = status.unwrap_or_default();
        match status
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next())
        {
            Some('T') => return true,
            Some('Z' | 'X') | None => return false,
            Some(_) => {
                assert!(began.elapsed() < PATIENCE, "the worker does not stop");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
