//! One maildir for each tenant, below a common root.
//!
//! A message is written to `tmp` and synced in every maildir first; only then is it
//! renamed into `new`, and each `new` synced. So a full disk is met before anybody
//! has the message, and a rename that fails takes the earlier ones back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::parcel::Parcel;
use super::{Consignment, Delivered, DeliveryError, Message, header, trace};
use crate::content::Content;
use crate::decision::Permit;
use crate::directory;
use crate::facts::TenantId;

#[cfg(test)]
mod tests;

/// How long a disk may take to say whether a maildir is there. Beyond that the client
/// is asked to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Mail is for the host and its group: whoever reads it is put into that group.
const FILE_MODE: u32 = 0o640;

/// How much of a long message is copied at once.
const PIECE: usize = 256 * 1024;

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

    /// Makes the maildirs of these tenants. What goes wrong is logged: it will be tried
    /// again, and told to the client, when there is mail.
    pub fn prepare<'a>(&self, tenants: impl Iterator<Item = &'a TenantId>) {
        for tenant in tenants {
            if let Err(error) = self.maildir(tenant).open() {
                tracing::error!(tenant.id = %tenant, %error, "the maildir takes no mail");
            }
        }
    }

    /// Whether the tenant's maildir can take mail; it is made if need be.
    ///
    /// # Errors
    /// When it cannot, or the disk does not say in time.
    pub async fn offer(&self, permit: &Permit) -> Result<(), DeliveryError> {
        let maildir = self.maildir(permit.tenant());
        let path = maildir.0.clone();
        let opened = tokio::time::timeout(PATIENCE, blocking(move || maildir.open())).await;
        opened.unwrap_or(Err(DeliveryError::Timeout { path }))
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
        let scan = header::scan(message.content.front(), &self.hostname);
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
                Err(error) => return Err(error.but(take_back(delivered))),
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
        let parcel = Parcel::new(fields, Arc::clone(&message.content), scan);
        let temporary = staged.temporary();
        write_synced(&temporary, &parcel)
            .map_err(|source| DeliveryError::storage(temporary, source))?;
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

fn write_synced(path: &Path, parcel: &Parcel) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)?;
    let mut slices: Vec<IoSlice<'_>> = parcel.slices().map(IoSlice::new).collect();
    write_all_vectored(&mut file, &mut slices)?;
    write_behind_front(&mut file, parcel.content())?;
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

fn write_behind_front(file: &mut File, content: &Content) -> io::Result<()> {
    let mut offset = content.front().len() as u64;
    let mut buffer = Vec::new();
    while offset < content.len() {
        buffer.resize(PIECE, 0);
        match content.read_behind_front(offset, &mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                file.write_all(&buffer[..read])?;
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Removes what other tenants were given of a message that its client will send
/// again. Returns what could not be removed: a reader may have been faster.
fn take_back(delivered: Vec<Delivered>) -> Vec<Delivered> {
    let mut kept = Vec::new();
    for delivery in delivered {
        let parent = delivery.path.parent().unwrap_or(&delivery.path);
        match fs::remove_file(&delivery.path).and_then(|()| directory::sync(parent)) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(
                    tenant.id = %delivery.tenant, path = %delivery.path.display(), %error,
                    "a message could not be taken back, and will be delivered again"
                );
                kept.push(delivery);
            }
        }
    }
    kept
}

struct Maildir(PathBuf);

impl Maildir {
    /// Makes what is missing, and tries whether files can be made.
    fn open(&self) -> Result<(), DeliveryError> {
        for part in ["tmp", "new", "cur"] {
            let path = self.0.join(part);
            directory::make(&path)
                .and_then(|()| writable(&path))
                .map_err(|source| DeliveryError::storage(path, source))?;
        }
        Ok(())
    }
}

fn writable(path: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(
        path,
        Access::WRITE_OK | Access::EXEC_OK,
    )?)
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
        let fault = |source| DeliveryError::storage(path.clone(), source);
        fs::rename(self.temporary(), &path).map_err(fault)?;
        self.renamed = true;
        let delivered = Delivered {
            tenant: self.tenant.clone(),
            path: path.clone(),
        };
        if let Err(source) = directory::sync(&new) {
            return Err(fault(source).but(take_back(vec![delivered])));
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
            Err(DeliveryError::storage(
                PathBuf::new(),
                io::Error::other(lost),
            ))
        })
}
