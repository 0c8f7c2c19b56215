//! Where receipts are looked for: in the store, or in the day files where only these are
//! written.

use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::read::{Found, ReadError, Receipt, read};
use crate::config::Config;
use crate::facts::ReceiptId;
use crate::store::{ShadowAnswer, Store};
use crate::tenant::in_background;

/// The directory of day files in a data directory.
const DIRECTORY: &str = "receipts";

/// Where receipts are looked for.
#[derive(Clone, Debug)]
pub enum Source {
    /// In the store.
    Store(Store),
    /// In the day files of this directory.
    Files(PathBuf),
}

/// Which of those that are found.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The newest come first; else the oldest do.
    pub newest_first: bool,
    /// Only what comes behind this one.
    pub after: Option<ReceiptId>,
    /// At most so many.
    pub limit: usize,
}

/// The directory of day files in this data directory.
pub fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join(DIRECTORY)
}

impl Source {
    /// Where a host of this configuration keeps them, which has this store.
    pub fn of(config: &Config, store: &Store) -> Self {
        match config.receipts.store {
            true => Self::Store(store.clone()),
            false => Self::Files(directory(&config.data_dir)),
        }
    }

    /// The same for a command, beside the host or without it.
    ///
    /// # Errors
    /// When the store cannot be opened.
    pub async fn open(config: &Config) -> Result<Self, ReadError> {
        match config.receipts.store {
            true => Ok(Self::Store(Store::read(&config.data_dir).await?)),
            false => Ok(Self::Files(directory(&config.data_dir))),
        }
    }

    /// The same where nothing but the data directory is known: the store, unless it has
    /// no receipt and there are day files.
    ///
    /// # Errors
    /// When the store cannot be opened or read.
    pub async fn guess(data_dir: &Path) -> Result<Self, ReadError> {
        let files = directory(data_dir);
        if !Store::is_there(data_dir)? {
            return Ok(Self::Files(files));
        }
        let store = Store::read(data_dir).await?;
        match files.is_dir() && !store.has_receipts().await? {
            true => Ok(Self::Files(files)),
            false => Ok(Self::Store(store)),
        }
    }

    /// Looks for receipts.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn find(&self, filter: &Filter, part: Part) -> Result<Found, ReadError> {
        match self {
            Self::Store(store) => Ok(Found {
                receipts: store.receipts(filter, part).await?,
                unreadable: 0,
            }),
            Self::Files(directory) => {
                let (directory, filter) = (directory.clone(), filter.clone());
                let found = in_background(move || read(&directory, &filter)).await?;
                Ok(part.of(found))
            }
        }
    }

    /// The receipt of this id, if there is one that passes.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn one(&self, filter: &Filter) -> Result<Option<Receipt>, ReadError> {
        let part = Part {
            newest_first: false,
            after: None,
            limit: 1,
        };
        Ok(self.find(filter, part).await?.receipts.pop())
    }

    /// The policy that decided it at last, as it was then: JSON; none where no policy did,
    /// or it is not in the store.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn policy(&self, receipt: &Receipt) -> Result<Option<String>, ReadError> {
        let used = receipt.last().and_then(|event| event.policy.as_ref());
        match (self, used) {
            (Self::Store(store), Some(used)) => Ok(store.policy_of(used.revision).await?),
            _ => Ok(None),
        }
    }

    /// What revisions that are tried would have decided about it, where the store has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn shadows(&self, receipt: &Receipt) -> Result<Vec<ShadowAnswer>, ReadError> {
        match self {
            Self::Store(store) => Ok(store.shadows_of(receipt.id()).await?),
            Self::Files(_) => Ok(Vec::new()),
        }
    }

    /// For messages.
    pub fn place(&self) -> &Path {
        match self {
            Self::Store(store) => store.file(),
            Self::Files(directory) => directory,
        }
    }
}

impl Part {
    /// This part of all that was read.
    fn of(self, mut found: Found) -> Found {
        found.receipts.sort_by_key(Receipt::id);
        if self.newest_first {
            found.receipts.reverse();
        }
        found
            .receipts
            .retain(|receipt| self.is_behind(receipt.id()));
        found.receipts.truncate(self.limit);
        found
    }

    fn is_behind(self, id: ReceiptId) -> bool {
        match (self.after, self.newest_first) {
            (None, _) => true,
            (Some(after), true) => id < after,
            (Some(after), false) => id > after,
        }
    }
}
