//! What one decision may take from the host, beyond fuel, time and memory.

use super::outcome::Failure;

/// Data that one call between guest and host may carry. Without it a list whose entries
/// alias one buffer makes the host allocate a hundred megabytes.
pub(super) const BYTES_PER_CALL: usize = 1 << 20;
/// Text that a guest may hand to the host in one decision, all calls together: the
/// answer is a kilobyte, and thirty-two log lines are thirty-two.
const TEXT: usize = 1 << 20;
/// Text that the host may hand to a guest in one decision: a certificate's names are 16
/// KiB at most, and nobody needs all facts a hundred times.
const TOLD: usize = 4 << 20;
/// Facts that a guest may ask for: a policy that reads each of them once asks for sixty.
const FACTS: u32 = 10_000;
/// Lookups in lists: a policy asks for a sender, a domain and its parents.
const LOOKUPS: u32 = 1_000;
/// Requirements, as documented in the interface.
const REQUIREMENTS: u32 = 64;
/// Pins, as documented in the interface.
const PINS: u32 = 256;
/// Sets of requirements; one is returned.
const SETS: u32 = 64;
/// Resources held by a guest at one time: a message, its TLS, its certificate, and a
/// set of requirements; the rest is for guests that forget to drop.
pub(super) const HANDLES: usize = 256;

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    text: usize,
    told: usize,
    facts: u32,
    lookups: u32,
    requirements: u32,
    pins: u32,
    sets: u32,
    memory: usize,
    /// Memory that it has, in bytes.
    held: usize,
}

impl Budget {
    /// All of it, with this cap on memory in bytes.
    pub(super) fn new(memory: usize) -> Self {
        Self {
            text: TEXT,
            told: TOLD,
            facts: FACTS,
            lookups: LOOKUPS,
            requirements: REQUIREMENTS,
            pins: PINS,
            sets: SETS,
            memory,
            held: 0,
        }
    }

    /// The memory that the instance has, in bytes: what it began with and what it grew by.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Text from the guest.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        match self.text.checked_sub(text.len()) {
            Some(left) => self.text = left,
            None => return Err(too_much(format_args!("over {TEXT} bytes of text"))),
        }
        Ok(())
    }

    /// Text for the guest, from facts or lists, of this many bytes.
    pub(super) fn told(&mut self, bytes: usize) -> Result<(), Failure> {
        match self.told.checked_sub(bytes) {
            Some(left) => self.told = left,
            None => {
                return Err(too_much(format_args!(
                    "to be told over {TOLD} bytes of text"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn fact(&mut self) -> Result<(), Failure> {
        take(&mut self.facts, FACTS, "facts")
    }

    pub(super) fn lookup(&mut self) -> Result<(), Failure> {
        take(&mut self.lookups, LOOKUPS, "lookups in lists")
    }

    pub(super) fn requirement(&mut self) -> Result<(), Failure> {
        take(&mut self.requirements, REQUIREMENTS, "requirements")
    }

    pub(super) fn pin(&mut self) -> Result<(), Failure> {
        take(&mut self.pins, PINS, "pins")
    }

    pub(super) fn set(&mut self) -> Result<(), Failure> {
        take(&mut self.sets, SETS, "sets of requirements")
    }
}

fn take(left: &mut u32, limit: u32, what: &str) -> Result<(), Failure> {
    match left.checked_sub(1) {
        Some(fewer) => *left = fewer,
        None => return Err(too_much(format_args!("more than {limit} {what}"))),
    }
    Ok(())
}

fn too_much(what: std::fmt::Arguments<'_>) -> Failure {
    Failure::TooMuch(what.to_string())
}

/// A growth that is refused ends the guest: a guest that is merely told may ignore it
/// and go on.
impl wasmtime::ResourceLimiter for Budget {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.memory {
            return Err(wasmtime::Error::new(Failure::Memory {
                what: "bytes of memory",
                asked: desired,
                limit: self.memory,
                place: String::new(),
            }));
        }
        self.held = desired;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let limit = super::tuning::TABLE_ELEMENTS;
        if desired > limit {
            return Err(wasmtime::Error::new(Failure::Memory {
                what: "table elements",
                asked: desired,
                limit,
                place: String::new(),
            }));
        }
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    /// The cap is per memory.
    fn memories(&self) -> usize {
        1
    }
}
