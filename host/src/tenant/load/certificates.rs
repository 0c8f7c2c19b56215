//! Trust from PEM: of tenants from texts, public roots from a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls_pki_types::CertificateDer;

use crate::config::{Fault, Located, Pem, TrustConfig};
use crate::tls::pem::{self, PemError};
use crate::tls::{PublicRoots, TrustError, TrustSettings, TrustStore};

pub(super) fn read_roots(named: &Located<PathBuf>) -> Result<Arc<PublicRoots>, Vec<Fault>> {
    let certificates =
        pem::certificates(&named.value).map_err(|error| vec![named.at.fault(error)])?;
    PublicRoots::from_certificates(&certificates)
        .map_err(|errors| errors.iter().map(|e| named.at.fault(e)).collect())
}

/// The certificates of all texts, each of which can be a trust anchor.
pub(super) fn read_anchors(
    texts: &[Located<Pem>],
) -> Result<Vec<CertificateDer<'static>>, Vec<Fault>> {
    let mut faults = Vec::new();
    let read = read_all(texts, pem::certificates_in, &mut faults);
    for (certificate, file) in &read {
        if let Err(error) = webpki::anchor_from_trusted_cert(certificate) {
            faults.push(
                file.at
                    .fault(format_args!("not the certificate of an authority: {error}")),
            );
        }
    }
    if faults.is_empty() {
        Ok(read
            .into_iter()
            .map(|(certificate, _)| certificate)
            .collect())
    } else {
        Err(faults)
    }
}

pub(super) fn build_trust(
    config: &TrustConfig,
    public_roots: Option<Arc<PublicRoots>>,
) -> Result<TrustStore, Vec<Fault>> {
    let mut faults = Vec::new();
    let anchors = read_all(&config.anchors, pem::certificates_in, &mut faults);
    let lists = read_all(&config.crls, pem::revocation_lists_in, &mut faults);
    let (anchors, anchor_files) = unzip(anchors);
    let (revocation_lists, list_files) = unzip(lists);
    let store = TrustStore::new(TrustSettings {
        anchors,
        revocation_lists,
        pins: config.pins.clone(),
        self_signed: config.self_signed,
        public_roots: public_roots.filter(|_| config.public_roots),
    });
    match store {
        Ok(store) if faults.is_empty() => Ok(store),
        Ok(_) => Err(faults),
        Err(errors) => {
            faults.extend(errors.iter().filter_map(|error| {
                let file = file_of(error, &anchor_files, &list_files)?;
                Some(file.at.fault(error))
            }));
            Err(faults)
        }
    }
}

type Read<'a, T> = Vec<(T, &'a Located<Pem>)>;

/// What the texts hold, each part with its text.
fn read_all<'a, T>(
    texts: &'a [Located<Pem>],
    read: impl Fn(&Path, &[u8]) -> Result<Vec<T>, PemError>,
    faults: &mut Vec<Fault>,
) -> Read<'a, T> {
    let mut all = Vec::new();
    for text in texts {
        match read(&text.value.name, text.value.text.as_bytes()) {
            Ok(parts) => all.extend(parts.into_iter().map(|part| (part, text))),
            Err(error) => faults.push(text.at.fault(error)),
        }
    }
    all
}

fn unzip<T>(read: Read<'_, T>) -> (Vec<T>, Vec<&Located<Pem>>) {
    read.into_iter().unzip()
}

/// Errors count from one, over all files.
fn file_of<'a>(
    error: &TrustError,
    anchors: &[&'a Located<Pem>],
    lists: &[&'a Located<Pem>],
) -> Option<&'a Located<Pem>> {
    let (files, position) = match error {
        TrustError::Anchor { position, .. } => (anchors, position),
        TrustError::RevocationList { position, .. } => (lists, position),
    };
    files.get(position.checked_sub(1)?).copied()
}
