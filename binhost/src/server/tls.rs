//! TLS by rustls, with `ring` named as its only provider: no process-wide default is asked for, so none can be missing.

use crate::watched::Watched;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The certificate in use; a renewed one is taken up by the next handshake.
pub(crate) struct Tls(Watched<ServerConfig>);

impl Tls {
    /// `certificate` is a PEM file with the chain, the server's own first; `key` holds its private key.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self> {
        Watched::open(vec![certificate.to_owned(), key.to_owned()], load).map(Self)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.get().into()
    }
}

fn load(files: &[PathBuf]) -> Result<ServerConfig> {
    let [certificate, key] = files else { anyhow::bail!("a certificate and a key are expected") };
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read certificates from {}", certificate.display()))?;
    ensure!(!chain.is_empty(), "{} holds no certificate", certificate.display());
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read a private key from {}", key.display()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
