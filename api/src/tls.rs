//! Certificates: the server's own, and those that clients must present.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::config::TlsSettings;
use crate::error::Error;

/// The acceptor of TLS handshakes; `None` where no certificate is set.
pub(crate) fn acceptor(tls: &TlsSettings) -> Result<Option<TlsAcceptor>, Error> {
    let set = |path: &Path| !path.as_os_str().is_empty();
    match (set(&tls.cert), set(&tls.key)) {
        (false, false) if set(&tls.client_ca) => {
            return Err(wrong("client_ca", &tls.client_ca, "is set without a certificate", "set `cert` and `key` too"));
        }
        (false, false) => return Ok(None),
        (true, true) => {}
        (true, false) => return Err(wrong("cert", &tls.cert, "is set without its key", "set `key` too")),
        (false, true) => return Err(wrong("key", &tls.key, "is set without its certificate", "set `cert` too")),
    }
    let chain = certificates("cert", &tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unreadable("key", &tls.key, error))?;

    // The provider is given: a process that links two has no default.
    let provider = Arc::new(ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| wrong("cert", &tls.cert, error, "report this to the makers of NetCrab"))?;
    let clients = if set(&tls.client_ca) {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(&tls.client_ca)?), provider);
        let verifier = verifier.build().map_err(|error| {
            wrong("client_ca", &tls.client_ca, error, "give the certificates of the authorities in PEM")
        })?;
        versions.with_client_cert_verifier(verifier)
    } else {
        versions.with_no_client_auth()
    };
    let mut config = clients.with_single_cert(chain, key).map_err(|error| {
        wrong("cert", &tls.cert, error, "give the server's certificate first, and the key that belongs to it")
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("client_ca", path)? {
        roots.add(certificate).map_err(|error| wrong("client_ca", path, error, "give certificates of authorities"))?;
    }
    Ok(roots)
}

fn certificates(setting: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let read = read.map_err(|error| unreadable(setting, path, error))?;
    if read.is_empty() {
        return Err(wrong(setting, path, "holds no certificate", "give a file in PEM"));
    }
    Ok(read)
}

fn unreadable(setting: &'static str, path: &Path, error: impl std::fmt::Display) -> Error {
    let wrong_with_it = format!("cannot be read as PEM: {error}");
    wrong(setting, path, wrong_with_it, "check the path, its rights and that it is PEM")
}

fn wrong(setting: &'static str, path: &Path, wrong: impl ToString, mend: &'static str) -> Error {
    Error::Tls { setting, path: path.to_owned(), wrong: wrong.to_string(), mend }
}
