//! Listens, serves, and lets open requests finish when it stops.
//!
//!     permit ─▶ accept ─▶ TLS ─▶ head of a request ─▶ router ─▶ answer ─▶ head of the next …
//!     connections_max     head_timeout_ms                       answer_timeout_ms
//!
//! Bodies have bounds of their own (`ingest::body`). A client that sends nothing, sends slowly or reads nothing costs
//! one permit and a little memory, and both for a bounded time.

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

/// Size of the buffer of one connection, in bytes: most of a request that is read before its handler takes it.
const BUFFER_BYTES: usize = 128 * 1024;

/// Pause after the system could not accept a connection, mostly for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves, then lets open requests finish for at most `drain_ms`.
///
/// # Errors
///
/// Those of [`AppState::new`], [`Server::bind`] and [`Server::run`].
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
    /// Listens on `config.listen`; port 0 is any free port.
    ///
    /// # Errors
    ///
    /// [`Error::Tls`] for a certificate that cannot be used, [`Error::Listen`] for an address that cannot be listened
    /// on, [`Error::Serve`] where the system does not tell the address.
    pub async fn bind(config: &ApiConfig, state: AppState) -> Result<Self, Error> {
        let tls = tls::acceptor(&config.tls)?;
        let listen = config.listen;
        let listener = TcpListener::bind(listen).await.map_err(|source| Error::Listen { listen, source })?;
        let address = listener.local_addr().map_err(Error::Serve)?;
        Ok(Self { listener, address, router: router(state), limits: config.limits.clone(), tls })
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` resolves, then lets open requests finish for at most `drain_ms`.
    ///
    /// # Errors
    ///
    /// None today; a connection that cannot be accepted is logged.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        tracing::info!(listen = %self.address, tls = self.tls.is_some(), "api listens");
        let connections_max = u32::try_from(self.limits.connections_max).unwrap_or(u32::MAX);
        let permits = Arc::new(Semaphore::new(connections_max as usize));
        let (stop, stopped) = watch::channel(());
        let mut shutdown = pin!(shutdown);
        loop {
            // The permit comes first: a connection without one waits in the listener's queue, not in memory.
            let accepted = async {
                let permit = permits.clone().acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                accepted = accepted => accepted,
                () = &mut shutdown => break,
            };
            match (permit, accepted) {
                (Ok(permit), Ok((stream, _))) => self.spawn_connection(stream, permit, stopped.clone()),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), Ok(_)) => {}
            }
        }
        drop((self.listener, stop));
        // Every permit is back once every connection has ended.
        let ended = permits.acquire_many(connections_max);
        if timeout(Duration::from_millis(self.limits.drain_ms), ended).await.is_err() {
            tracing::warn!(drain_ms = self.limits.drain_ms, "requests were still open and are cut off");
        }
        Ok(())
    }

    /// Serves one connection on a task of its own, until its client ends it or the server is `stopped`.
    fn spawn_connection(&self, stream: TcpStream, permit: OwnedSemaphorePermit, stopped: watch::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        let head_timeout = Duration::from_millis(self.limits.head_timeout_ms);
        let answer_timeout = Duration::from_millis(self.limits.answer_timeout_ms);
        let (router, tls) = (self.router.clone(), self.tls.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(head_timeout).max_buf_size(BUFFER_BYTES);
            match tls {
                None => serve_connection(&http, WriteTimeout::new(stream, answer_timeout), router, stopped).await,
                Some(tls) => {
                    let Ok(Ok(stream)) = timeout(head_timeout, tls.accept(stream)).await else { return };
                    serve_connection(&http, WriteTimeout::new(stream, answer_timeout), router, stopped).await;
                }
            }
        });
    }
}

/// Answers the requests of one connection. Once `stopped`, it finishes the request that is open and takes no other.
async fn serve_connection(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    router: Router,
    mut stopped: watch::Receiver<()>,
) {
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)));
    // An error of a connection concerns its client, who sees it.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopped.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

/// A stream whose writes fail once the client has read nothing for a while.
struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// When the write that waits fails; `None` while none waits.
    until: Option<Pin<Box<Sleep>>>,
}

impl<S> WriteTimeout<S> {
    fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, until: None }
    }

    fn bounded<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.until = None;
            return written;
        }
        let limit = self.limit;
        let until = self.until.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match until.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.bounded(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.bounded(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.bounded(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let ended = Pin::new(&mut this.stream).poll_shutdown(context);
        this.bounded(context, ended)
    }
}
