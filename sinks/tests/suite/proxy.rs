//! A proxy before a server, which fails as networks and servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Brings it to the server, and the answer back.
    None,
    #[allow(dead_code, reason = "not every suite is slow")]
    /// The same, this much later.
    Slow(Duration),
    /// Brings it to the server, and keeps the answer.
    LostAnswer,
    /// Answers with this status and text; the server never sees it.
    Says(&'static str, &'static str),
    /// Closes the connection at once.
    Refused,
}

/// What ClickHouse says that has too much to do.
pub(crate) const BUSY: Fault = Fault::Says(
    "500 Internal Server Error",
    "Code: 202. DB::Exception: Too many simultaneous queries. (TOO_MANY_SIMULTANEOUS_QUERIES)",
);

/// A proxy that takes one request for each connection.
pub(crate) struct Proxy {
    address: String,
    plan: Arc<Mutex<Box<dyn FnMut() -> Fault + Send>>>,
    #[allow(dead_code, reason = "as below")]
    requests: Arc<AtomicU64>,
}

impl Proxy {
    /// A proxy before `server`; `plan` decides of each request.
    pub(crate) fn before(server: String, plan: impl FnMut() -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plan: Arc<Mutex<Box<dyn FnMut() -> Fault + Send>>> = Arc::new(Mutex::new(Box::new(plan)));
        let requests = Arc::new(AtomicU64::new(0));
        let (asked, counted) = (Arc::clone(&plan), Arc::clone(&requests));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let fault = (asked.lock().unwrap())();
                counted.fetch_add(1, Ordering::Relaxed);
                let server = server.clone();
                std::thread::spawn(move || {
                    let _ = handle(client, &server, fault);
                });
            }
        });
        Self { address, plan, requests }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    #[allow(dead_code, reason = "not every suite counts them")]
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    #[allow(dead_code, reason = "not every suite changes its mind")]
    pub(crate) fn now(&self, plan: impl FnMut() -> Fault + Send + 'static) {
        *self.plan.lock().unwrap() = Box::new(plan);
    }
}

fn handle(mut client: TcpStream, server: &str, fault: Fault) -> std::io::Result<()> {
    match fault {
        Fault::Refused => return client.shutdown(Shutdown::Both),
        Fault::Says(status, said) => {
            let _ = client.read(&mut [0; 65_536])?;
            write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}", said.len())?;
            // What is still on its way is read, so that the answer is not cut off.
            client.shutdown(Shutdown::Write)?;
            client.set_read_timeout(Some(Duration::from_secs(2)))?;
            while client.read(&mut [0; 65_536])? > 0 {}
            return Ok(());
        }
        Fault::Slow(later) => std::thread::sleep(later),
        Fault::None | Fault::LostAnswer => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    // One request for each connection: the server is asked to close it.
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n") {
        if client.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    upstream.write_all(&head)?;
    upstream.write_all(b"Connection: close\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, upstream.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
    });
    if fault == Fault::LostAnswer {
        std::io::copy(&mut upstream, &mut std::io::sink())?;
        // The client waits until it has waited long enough.
        client.set_read_timeout(Some(Duration::from_secs(60)))?;
        while client.read(&mut [0; 1024])? > 0 {}
        return Ok(());
    }
    std::io::copy(&mut upstream, &mut client)?;
    client.shutdown(Shutdown::Both)
}
