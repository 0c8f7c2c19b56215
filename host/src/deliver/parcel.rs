//! A message as one target gets it: our fields, then the content without those that
//! only we may write.

use std::ops::Range;
use std::sync::Arc;

use super::header::Scan;
use crate::content::Content;

/// A message as one target gets it.
#[derive(Debug)]
pub struct Parcel {
    /// Our fields, each ended by CRLF.
    fields: String,
    /// Parts of the content's front, in order.
    kept: Vec<Range<usize>>,
    /// The content.
    content: Arc<Content>,
}

impl Parcel {
    /// Puts `fields` before the content and leaves out what `scan` found to be forged.
    pub(super) fn new(mut fields: String, content: Arc<Content>, scan: &Scan) -> Self {
        if scan.headless {
            fields.push_str("\r\n");
        }
        let mut kept = Vec::with_capacity(scan.forged.len() + 1);
        let mut at = 0;
        for forged in &scan.forged {
            kept.push(at..forged.start);
            at = forged.end;
        }
        kept.push(at..content.front().len());
        Self {
            fields,
            kept,
            content,
        }
    }

    /// What is in memory, in order. The rest is read from [`Parcel::content`], behind
    /// its front.
    pub(super) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let front = self.content.front();
        let kept = self.kept.iter().map(|range| &front[range.clone()]);
        std::iter::once(self.fields.as_bytes()).chain(kept)
    }

    /// Where the octets behind the front are.
    pub(super) fn content(&self) -> &Arc<Content> {
        &self.content
    }
}
