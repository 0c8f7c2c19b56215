//! TLS at the address of the API.

use std::io;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::{Identity, NoIdentity, TlsServer};

/// What the address speaks TLS with; all clones have the same. **Without a certificate there
/// is no handshake**, and nothing in its place.
#[derive(Clone, Debug, Default)]
pub struct AdminTls(Arc<ArcSwapOption<TlsServer>>);

impl AdminTls {
    /// Uses these identities from now on. Only one at a time may do so.
    ///
    /// # Errors
    /// When there is none; then those that were there stay.
    pub fn replace(&self, identities: Vec<Identity>) -> Result<(), NoIdentity> {
        match &*self.0.load() {
            Some(server) => server.replace(identities)?,
            None => self.0.store(Some(Arc::new(TlsServer::new(identities)?))),
        }
        Ok(())
    }

    /// Speaks TLS with a client, who is asked for no certificate: a token says who it is.
    pub(super) async fn handshake(self, client: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let server = self.0.load_full();
        let server = server.ok_or_else(|| io::Error::other("there is no certificate"))?;
        TlsAcceptor::from(server.config(false)).accept(client).await
    }
}
