//! One maildir for each tenant, below a common root.
//!
//! A message is written to `tmp` and synced in every maildir first; only then is it
//! renamed into `new`, and each `new` synced. So a full disk is met before anybody
//! has the message, and a rename that fails takes the earlier ones back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Consignment, Delivered, DeliveryError, Message, header, trace};
use crate::decision::Permit;
use crate::facts::TenantId;

#[cfg(test)]
mod tests;

/// The maildirs of all tenants.
#[derive(Clone, Debug)]
pub struct Maildirs {
    root: Arc<Path>,
    hostname: Arc<str>,
}

impl Maildirs {
    /// Maildirs below `root`, each named for its tenant. `hostname` goes into trace
    /// fields and file names.
    pub fn new(root: &Path, hostname: &str) -> Self {
        Self {
            root: root.into(),
            hostname: hostname.into(),
        }
    }

    /// Whether the tenant's maildir can take mail; it is made if need be.
    pub async fn offer(&self, permit: &Permit) -> Result<(), DeliveryError> {
        let maildir = self.maildir(permit.tenant());
        blocking(move || maildir.open()).await
    }

    /// Delivers to all tenants or to none. On success it is on disk.
    pub async fn deliver(
        &self,
        message: Message,
        consignments: Vec<Consignment>,
    ) -> Result<Vec<Delivered>, DeliveryError> {
        let this = self.clone();
        blocking(move || this.deliver_all(&message, &consignments)).await
    }

    fn deliver_all(
        &self,
        message: &Message,
        consignments: &[Consignment],
    ) -> Result<Vec<Delivered>, DeliveryError> {
        let scan = header::scan(&message.content, &self.hostname);
        if scan.received > header::MAX_RECEIVED {
            return Err(DeliveryError::Loop {
                found: scan.received,
            });
        }
        let mut staged = Vec::new();
        for consignment in consignments {
            staged.push(self.stage(message, consignment, &scan)?);
        }
        let mut delivered: Vec<Delivered> = Vec::new();
        for stage in staged {
            match stage.commit() {
                Ok(done) => delivered.push(done),
                Err(error) => {
                    take_back(&delivered);
                    return Err(error);
                }
            }
        }
        Ok(delivered)
    }

    fn stage(
        &self,
        message: &Message,
        consignment: &Consignment,
        scan: &header::Scan,
    ) -> Result<Staged, DeliveryError> {
        let maildir = self.maildir(&consignment.tenant);
        let name = self.file_name(message, consignment);
        let staged = Staged {
            tenant: consignment.tenant.clone(),
            maildir,
            name,
            renamed: false,
        };
        let fields = trace::fields(&self.hostname, message, consignment);
        let temporary = staged.temporary();
        write_synced(&temporary, &pieces(&fields, &message.content, scan)).map_err(|source| {
            DeliveryError::Storage {
                path: temporary,
                source,
            }
        })?;
        Ok(staged)
    }

    /// Unique since receipts are, and telling: when, which receipt, where.
    fn file_name(&self, message: &Message, consignment: &Consignment) -> String {
        let receipt = consignment
            .permits
            .first()
            .map(|permit| permit.receipt().to_string());
        let host = self.hostname.replace(['/', ':'], "_");
        format!(
            "{}.{}.{host}",
            message.received,
            receipt.unwrap_or_default()
        )
    }

    fn maildir(&self, tenant: &TenantId) -> Maildir {
        Maildir(self.root.join(tenant.as_str()))
    }
}

/// The message between our fields and without those forged in our name.
fn pieces<'a>(fields: &'a str, content: &'a [u8], scan: &header::Scan) -> Vec<&'a [u8]> {
    let mut pieces = vec![fields.as_bytes()];
    let mut at = 0;
    for forged in &scan.forged {
        pieces.push(&content[at..forged.start]);
        at = forged.end;
    }
    pieces.push(&content[at..]);
    pieces
}

fn write_synced(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    write_all_vectored(&mut file, &mut slices)?;
    file.sync_all()
}

fn write_all_vectored(file: &mut File, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => IoSlice::advance_slices(&mut slices, written),
        }
    }
    Ok(())
}

/// Removes what other tenants were given of a message that its client will send
/// again. A reader may have been faster: it then has the message twice.
fn take_back(delivered: &[Delivered]) {
    for Delivered { tenant, path } in delivered {
        if let Err(error) = fs::remove_file(path) {
            tracing::warn!(
                tenant.id = %tenant, path = %path.display(), %error,
                "a message could not be taken back, and will be delivered again"
            );
        }
    }
}

struct Maildir(PathBuf);

impl Maildir {
    /// Makes what is missing, and tries whether files can be made.
    fn open(&self) -> Result<(), DeliveryError> {
        for part in ["tmp", "new", "cur"] {
            let path = self.0.join(part);
            if !path.is_dir() {
                make_directory(&path)?;
            }
        }
        let path = self.0.join("tmp");
        rustix::fs::access(
            &path,
            rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK,
        )
        .map_err(|error| DeliveryError::Storage {
            path,
            source: error.into(),
        })
    }
}

/// Makes a directory and syncs its parent, so that a crash does not take it away.
fn make_directory(path: &Path) -> Result<(), DeliveryError> {
    let fault = |source| DeliveryError::Storage {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(fault)?;
    path.ancestors()
        .skip(1)
        .take(2)
        .try_for_each(sync_directory)
        .map_err(fault)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A message in `tmp`, synced. Removed again unless it is committed.
struct Staged {
    tenant: TenantId,
    maildir: Maildir,
    name: String,
    renamed: bool,
}

impl Staged {
    fn temporary(&self) -> PathBuf {
        self.maildir.0.join("tmp").join(&self.name)
    }

    fn commit(mut self) -> Result<Delivered, DeliveryError> {
        let new = self.maildir.0.join("new");
        let path = new.join(&self.name);
        let fault = |source| DeliveryError::Storage {
            path: path.clone(),
            source,
        };
        fs::rename(self.temporary(), &path).map_err(fault)?;
        self.renamed = true;
        let delivered = Delivered {
            tenant: self.tenant.clone(),
            path: path.clone(),
        };
        if let Err(source) = sync_directory(&new) {
            take_back(&[delivered]);
            return Err(fault(source));
        }
        Ok(delivered)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.renamed {
            // Whatever stays in tmp is no mail; readers clean it up after 36 hours.
            let _ = fs::remove_file(self.temporary());
        }
    }
}

/// File work goes to threads that may wait.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DeliveryError> + Send + 'static,
) -> Result<T, DeliveryError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|lost| {
            Err(DeliveryError::Storage {
                path: PathBuf::new(),
                source: io::Error::other(lost),
            })
        })
}
