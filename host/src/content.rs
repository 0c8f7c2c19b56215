//! The content of a message on its way through the house.
//!
//! The front of it, in which the header section lies, is always in memory. What is
//! behind that front can only be read piece by piece.

use std::io;

/// The content of a message as it came, dots unstuffed.
#[derive(Debug, Default)]
pub struct Content {
    front: Vec<u8>,
}

impl Content {
    /// Content that is wholly in memory.
    pub fn in_memory(octets: Vec<u8>) -> Self {
        Self { front: octets }
    }

    /// All of its octets.
    pub fn len(&self) -> u64 {
        self.front.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The octets that are in memory.
    pub fn front(&self) -> &[u8] {
        &self.front
    }

    /// Reads octets behind the front, from `offset` into the whole content on; 0 is the
    /// end. May wait for a disk: not for a thread that must not.
    ///
    /// # Errors
    /// The disk's.
    pub fn read_behind_front(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        debug_assert!(offset >= self.front.len() as u64);
        let _ = buffer;
        Ok(0)
    }
}
