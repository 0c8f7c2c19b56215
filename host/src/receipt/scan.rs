//! Going over a tenant's receipts between two times, oldest first, a page at a time: for
//! whoever reads many.
//!
//! **Memory does not grow with their number.** From the store some hundred are read at a
//! time. Where they are in day files alone it is a day at a time, which is as much as that
//! day had. **Nothing else waits for it**: they are parsed beside the threads that sessions
//! share. **A page is what there is when it is read**: what retention removes before is
//! simply not there, and what comes meanwhile is, as far as it is in the span.
//!
//! Receipts from which an address was erased are no evidence any more of what that address
//! met: they are counted, and not given.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::filter::Filter;
use super::read::{DAY, ReadError, Receipt, days, read_day};
use super::source::{Part, Source};
use crate::facts::{ReceiptId, TenantId};
use crate::store::Store;
use crate::tenant::in_background;

/// Receipts of a page of the store: a few megabytes in memory, and some ten milliseconds
/// until it is parsed.
const PAGE: usize = 500;

/// Which receipts.
#[derive(Clone, Debug)]
pub struct Span {
    /// Whose.
    pub tenant: TenantId,
    /// From this second on, since 1970.
    pub from: Option<u64>,
    /// Before this second, since 1970.
    pub to: Option<u64>,
}

/// Goes over receipts.
#[derive(Debug)]
pub struct Scan {
    span: Span,
    place: Place,
    page: usize,
    erased: u64,
    unreadable: u64,
}

/// How far it has come.
#[derive(Debug)]
enum Place {
    Store {
        store: Store,
        /// The last that was read.
        after: Option<ReceiptId>,
    },
    /// The days are looked up with the first page.
    Files(PathBuf),
    Days {
        directory: PathBuf,
        /// Those that are left, as seconds since 1970 at which they begin.
        left: BTreeSet<u64>,
    },
    End,
}

/// What was read at once.
#[derive(Debug, Default)]
struct Page {
    receipts: Vec<Receipt>,
    erased: u64,
    unreadable: u64,
}

impl Span {
    /// The same as a filter.
    pub fn filter(&self) -> Filter {
        Filter {
            tenant: Some(self.tenant.clone()),
            from: self.from,
            to: self.to,
            ..Filter::default()
        }
    }
}

impl Scan {
    /// Over the receipts of this span. Nothing is read yet.
    pub fn new(source: Source, span: Span) -> Self {
        let place = match source {
            Source::Store(store) => Place::Store { store, after: None },
            Source::Files(directory) => Place::Files(directory),
        };
        Self {
            span,
            place,
            page: PAGE,
            erased: 0,
            unreadable: 0,
        }
    }

    /// The same with other pages.
    #[cfg(test)]
    pub(crate) fn by(self, page: usize) -> Self {
        Self { page, ..self }
    }

    /// The next page, which may be empty; none at the end. Dropped before it is there, it
    /// is read again.
    ///
    /// # Errors
    /// When receipts cannot be read. It may be asked again then.
    pub async fn next(&mut self) -> Result<Option<Vec<Receipt>>, ReadError> {
        if let Place::Files(directory) = &self.place {
            let directory = directory.clone();
            let left = self.days(directory.clone()).await?;
            self.place = Place::Days { directory, left };
        }
        let (page, next) = match &self.place {
            Place::Store { store, after } => self.of_store(store, *after).await?,
            Place::Days { directory, left } => match left.first() {
                Some(day) => (self.of_day(directory.clone(), *day).await?, None),
                None => return Ok(None),
            },
            Place::Files(_) | Place::End => return Ok(None),
        };
        match (&mut self.place, next) {
            (Place::Days { left, .. }, _) => drop(left.pop_first()),
            (Place::Store { after, .. }, Some(last)) => *after = Some(last),
            (place, _) => *place = Place::End,
        }
        self.erased += page.erased;
        self.unreadable += page.unreadable;
        Ok(Some(page.receipts))
    }

    /// How many of those passed over had an address erased.
    pub fn erased(&self) -> u64 {
        self.erased
    }

    /// How many could not be read: damaged, or another version's.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// A page, and the last id in it unless there is nothing behind.
    async fn of_store(
        &self,
        store: &Store,
        after: Option<ReceiptId>,
    ) -> Result<(Page, Option<ReceiptId>), ReadError> {
        let part = Part {
            newest_first: false,
            after,
            limit: self.page,
        };
        let found = store.receipt_page(&self.span.filter(), part).await?;
        let mut page = Page {
            unreadable: found.unreadable,
            ..Page::default()
        };
        page.take(found.receipts);
        Ok((page, found.last))
    }

    /// The days that may have receipts of the span. What was decided at the end of a day
    /// may be written in the file of the next.
    async fn days(&self, directory: PathBuf) -> Result<BTreeSet<u64>, ReadError> {
        let files = in_background(move || days(&directory)).await?;
        let with_eves = files.iter().flat_map(|day| [*day, day.saturating_sub(DAY)]);
        let has_some = |day: &u64| {
            self.span.from.is_none_or(|from| from < day + DAY)
                && self.span.to.is_none_or(|to| *day < to)
        };
        Ok(with_eves.filter(has_some).collect())
    }

    /// Receipts that were made on one day.
    async fn of_day(&self, directory: PathBuf, day: u64) -> Result<Page, ReadError> {
        let span = &self.span;
        let filter = Filter {
            from: Some(span.from.map_or(day, |from| from.max(day))),
            to: Some(span.to.map_or(day + DAY, |to| to.min(day + DAY))),
            ..span.filter()
        };
        let found = in_background(move || read_day(&directory, day, &filter));
        let mut found = found.await?;
        found.receipts.sort_by_key(Receipt::id);
        let mut page = Page {
            unreadable: u64::try_from(found.unreadable).unwrap_or(u64::MAX),
            ..Page::default()
        };
        page.take(found.receipts);
        Ok(page)
    }
}

impl Page {
    fn take(&mut self, receipts: Vec<Receipt>) {
        let found = receipts.len();
        self.receipts = receipts;
        self.receipts.retain(|receipt| !receipt.is_erased());
        self.erased += u64::try_from(found - self.receipts.len()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests;
