//! TLS, and client certificates where the server requires them.

use std::path::PathBuf;
use std::sync::Arc;

use netcrab_api::{ApiConfig, IngestSettings, Server, TlsSettings};
use netcrab_bus::memory::Memory;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{ACME, BATCH, Inlet, config, events};

fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/ingest/certificates")).join(name)
}

fn tls(client_ca: &str) -> TlsSettings {
    let client_ca = if client_ca.is_empty() { PathBuf::new() } else { file(client_ca) };
    TlsSettings { cert: file("server.pem"), key: file("server.key"), client_ca }
}

/// Sends a batch over TLS, with the certificate of that client or without one. Gives the first line of the answer;
/// `None` where the connection is refused.
async fn send(tls: TlsSettings, client: Option<&str>) -> Option<String> {
    let config = ApiConfig { tls, ..config(IngestSettings::default()) };
    let inlet = Inlet::over(config, Arc::new(Memory::new(1, 1 << 30)));
    let server = Server::bind(&inlet.config, inlet.state).await.expect("sound certificates");
    let address = server.address();
    let serving = tokio::spawn(server.run(std::future::pending()));

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).expect("a certificate")).expect("an authority");
    let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let client_config = versions.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let client_config = match client {
        None => client_config.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).expect("a certificate")];
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).expect("a key");
            client_config.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    let stream = TcpStream::connect(address).await.expect("a listener");
    let name = ServerName::try_from("localhost").expect("a name");
    let connected = TlsConnector::from(Arc::new(client_config)).connect(name, stream).await;
    let answered = async {
        let mut stream = connected.ok()?;
        let body = events(2);
        let head = format!(
            "POST {BATCH} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ACME}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = answered.await;
    serving.abort();
    answer
}

#[tokio::test]
async fn a_batch_comes_in_over_tls() {
    assert_eq!(send(tls(""), None).await.as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(send(tls(""), Some("client")).await.as_deref(), Some("HTTP/1.1 200 OK"), "it is not asked for");
}

#[tokio::test]
async fn where_client_certificates_are_asked_for_none_and_a_strangers_are_turned_away() {
    assert_eq!(send(tls("ca.pem"), Some("client")).await.as_deref(), Some("HTTP/1.1 200 OK"));
    assert_eq!(send(tls("ca.pem"), None).await, None);
    assert_eq!(send(tls("ca.pem"), Some("stranger")).await, None);
    assert_eq!(send(tls("other-ca.pem"), Some("client")).await, None);
}

#[tokio::test]
async fn certificates_that_cannot_be_meant_keep_the_server_from_starting() {
    let nowhere = PathBuf::from("no-such-folder/x.pem");
    for (tls, fault) in [
        (TlsSettings { key: PathBuf::new(), ..tls("") }, "is set without its key; set `key` too"),
        (TlsSettings { cert: PathBuf::new(), ..tls("") }, "is set without its certificate; set `cert` too"),
        (
            TlsSettings { client_ca: file("ca.pem"), ..TlsSettings::default() },
            "is set without a certificate; set `cert` and `key` too",
        ),
        (
            TlsSettings { cert: nowhere.clone(), ..tls("") },
            "`api.tls.cert` (no-such-folder/x.pem) cannot be read as PEM",
        ),
        (TlsSettings { key: file("client.key"), ..tls("") }, "and the key that belongs to it"),
        (TlsSettings { cert: file("README.md"), ..tls("") }, "holds no certificate"),
    ] {
        let config = ApiConfig { tls, ..config(IngestSettings::default()) };
        let inlet = Inlet::over(config, Arc::new(Memory::new(1, 1 << 30)));
        let error = Server::bind(&inlet.config, inlet.state).await.err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains(fault)), "{fault}: {error:?}");
    }
}
