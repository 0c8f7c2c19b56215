//! What decisions of the past were made of, as long as a receipt needs it.

use std::sync::Arc;

use super::error::Failure;
use super::sqlite::{queries, tenants};
use super::{Store, StoreError};
use crate::digest::Digest;
use crate::lists::List;

impl Store {
    /// Whether the bytes of this module are kept.
    ///
    /// # Errors
    /// When that cannot be read.
    pub async fn has_module(&self, digest: Digest) -> Result<bool, StoreError> {
        let mut connection = self.reader().await?;
        let found = queries::has_module_content(&mut connection, &digest.to_string()).await;
        self.named(found)
    }

    /// The list with this digest; none where no tenant and no receipt needs it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn list_as_it_was(&self, digest: Digest) -> Result<Option<Arc<List>>, StoreError> {
        let mut connection = self.reader().await?;
        let read = async {
            let found = queries::list_content(&mut connection, &digest.to_string()).await?;
            match found {
                Some(_) => tenants::list(&mut connection, digest).await.map(Some),
                None => Ok(None),
            }
        };
        let read: Result<_, Failure> = read.await;
        self.named(read)
    }
}
