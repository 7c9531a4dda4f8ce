//! Listens, serves, and stops without cutting an answer short.
//!
//!     accept ─ a place ─▶ TLS ─▶ head of a request ─▶ router ─▶ answer ─▶ head of the next …
//!              connections_max    head_timeout_ms               answer_timeout_ms
//!
//! Bodies have bounds of their own (`ingest::body`). So a client that sends nothing, sends slowly or reads
//! nothing holds a place and a little memory for a while, and nothing else.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::config::{ApiConfig, ApiLimits};
use crate::error::Error;
use crate::routes::router;
use crate::state::AppState;
use crate::store::InsightStore;
use crate::tls;

/// Most of a request that one connection holds before its handler takes it, in bytes.
const BUFFER_BYTES: usize = 128 * 1024;

/// Pause after the system could not give a connection, mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves, then lets open requests finish for at most `drain_ms`.
pub async fn serve(
    config: ApiConfig,
    store: Arc<dyn InsightStore>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let state = AppState::new(&config, store)?;
    Server::bind(&config, state).await?.run(shutdown).await
}

/// The API, listening.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    router: Router,
    limits: ApiLimits,
    tls: Option<TlsAcceptor>,
}

impl Server {
    /// Listens on `config.listen`; port 0 is any that is free.
    pub async fn bind(config: &ApiConfig, state: AppState) -> Result<Self, Error> {
        let tls = tls::acceptor(&config.tls)?;
        let listen = config.listen;
        let listener = TcpListener::bind(listen).await.map_err(|source| Error::Listen { listen, source })?;
        let address = listener.local_addr().map_err(Error::Serve)?;
        Ok(Self { listener, address, router: router(state), limits: config.limits.clone(), tls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves, then lets open requests finish for at most `drain_ms`.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tracing::info!(listen = %self.address, tls = self.tls.is_some(), "api listens");
        let connections_max = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        let places = Arc::new(Semaphore::new(connections_max as usize));
        let (stop, stopped) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            // The place comes first: a connection that has none waits in the listener's queue, not in memory.
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut shutdown => break,
            };
            match (place, accepted) {
                (Ok(place), Ok((stream, _))) => self.welcome(stream, place, stopped.clone()),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), Ok(_)) => {}
            }
        }
        drop((self.listener, stop));
        // Every place is free again once every connection has ended.
        let ended = places.acquire_many(connections_max);
        if timeout(Duration::from_millis(self.limits.drain_ms), ended).await.is_err() {
            tracing::warn!(drain_ms = self.limits.drain_ms, "requests were still open and are cut off");
        }
        Ok(())
    }

    /// Serves one connection on a task of its own, until its client ends it or the server is `stopped`.
    fn welcome(&self, stream: TcpStream, place: OwnedSemaphorePermit, stopped: watch::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        let head_timeout = Duration::from_millis(self.limits.head_timeout_ms);
        let answer_timeout = Duration::from_millis(self.limits.answer_timeout_ms);
        let (router, tls) = (self.router.clone(), self.tls.clone());
        tokio::spawn(async move {
            let _place = place;
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(BUFFER_BYTES);
            match tls {
                None => converse(&http, Patient::new(stream, answer_timeout), router, stopped).await,
                Some(tls) => {
                    let Ok(Ok(stream)) = timeout(head_timeout, tls.accept(stream)).await else { return };
                    converse(&http, Patient::new(stream, answer_timeout), router, stopped).await;
                }
            }
        });
    }
}

/// Answers the requests of one connection; once `stopped`, the one that is open and no other.
async fn converse(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // What goes wrong with a connection is its client's affair, and seen there.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A stream whose writes fail once the other side has taken nothing for a while.
struct Patient<S> {
    stream: S,
    patience: Duration,
    /// Set while a write waits.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, until: None }
    }

    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let patience = self.patience;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let patient = self.get_mut();
        let written = Pin::new(&mut patient.stream).poll_write(context, bytes);
        patient.bounded(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let patient = self.get_mut();
        let written = Pin::new(&mut patient.stream).poll_write_vectored(context, slices);
        patient.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let patient = self.get_mut();
        let flushed = Pin::new(&mut patient.stream).poll_flush(context);
        patient.bounded(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let patient = self.get_mut();
        let ended = Pin::new(&mut patient.stream).poll_shutdown(context);
        patient.bounded(context, ended)
    }
}
