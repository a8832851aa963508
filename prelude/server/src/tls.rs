//! TLS through rustls: [`acceptor`].

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::args::Args;

/// What turns connections into TLS ones; `None` without a certificate on the command line.
pub(crate) fn acceptor(args: &Args) -> Result<Option<TlsAcceptor>> {
    let (Some(chain), Some(key)) = (&args.tls_cert, &args.tls_key) else { return Ok(None) };
    let reading = || format!("cannot read the certificates of {}", chain.display());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .with_context(reading)?
        .collect::<Result<_, _>>()
        .with_context(reading)?;
    ensure!(!certificates.is_empty(), "{} holds no certificate in PEM", chain.display());
    let key = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("cannot read the private key of {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot set TLS up")?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .context("the certificate and the private key do not fit together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
