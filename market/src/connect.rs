//! Connects to the database of a URL, and begins write transactions, of which there is one at a time.
//!
//! SQLite      a write-ahead log, flushed at every commit, foreign keys enforced; a writer waits for another one
//! PostgreSQL  a write transaction holds one advisory lock until it ends
//!
//! Both wait at most [`WAIT`] for another writer; then the answer is [`Error::Busy`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, ConnectOptions, Connection, Executor, Transaction};

use crate::error::{Error, busy};

/// Most connections of one process.
const CONNECTIONS_MAX: u32 = 8;
/// How long a writer waits for another one.
const WAIT: Duration = Duration::from_secs(30);
/// How long a server may take to accept the first connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);
/// Pause between two tries to open a file that another process is creating.
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the writers' lock of PostgreSQL until the transaction ends. Its number is "netcrab" in ASCII, so that no other
/// program uses it. Notices, such as that a table exists already, are not logged.
const LOCK_WRITERS: &str = "SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '30s'; \
                         SELECT pg_advisory_xact_lock(31073797997224290)";

/// Which database it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Where the database is.
pub(crate) struct Address {
    pub(crate) engine: Engine,
    /// The name of the database in errors, without user and password.
    pub(crate) name: String,
    options: AnyConnectOptions,
}

impl Address {
    /// Reads `sqlite:PATH` or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self, Error> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            return Self::file(path.strip_prefix("//").unwrap_or(path));
        }
        let server = url.strip_prefix("postgres://").or_else(|| url.strip_prefix("postgresql://"));
        let Some(server) = server else {
            return Err(Error::Url { fault: "it begins with neither" });
        };
        let options = url.parse().map_err(|_| Error::Url { fault: "it is not a valid URL" })?;
        Ok(Self { engine: Engine::Postgres, name: without_user(server), options: silent(options) })
    }

    fn file(path: &str) -> Result<Self, Error> {
        if path.is_empty() || path.contains(":memory:") {
            return Err(Error::Url { fault: "it names no file" });
        }
        if path.contains(['?', '\0']) {
            return Err(Error::Url { fault: "the path of a file has neither `?` nor NUL" });
        }
        let file = absolute(path)?;
        let encoded = encode(&file.to_string_lossy());
        let options = format!("sqlite://{encoded}?mode=rwc").parse();
        let options = options.map_err(|_| Error::Url { fault: "it is not a valid URL" })?;
        Ok(Self { engine: Engine::Sqlite, name: file.display().to_string(), options: silent(options) })
    }

    fn fault(&self, source: sqlx::Error) -> Error {
        match self.engine {
            Engine::Sqlite => Error::File { path: self.name.clone(), source },
            Engine::Postgres => Error::Server { server: self.name.clone(), source },
        }
    }
}

/// A pool of connections to the database, after one connection was tried.
pub(crate) async fn pool(address: &Address) -> Result<AnyPool, Error> {
    sqlx::any::install_default_drivers();
    if let (Engine::Sqlite, Some(folder)) = (address.engine, Path::new(&address.name).parent()) {
        std::fs::create_dir_all(folder).map_err(|fault| address.fault(fault.into()))?;
    }
    // The pool would retry a server that does not answer until its time-out, and then not say why it failed.
    try_once(address).await.map_err(|fault| address.fault(fault))?;
    let engine = address.engine;
    let pool = AnyPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .acquire_timeout(WAIT)
        .after_connect(move |connection, _| Box::pin(prepare(connection, engine)));
    Ok(pool.connect_lazy_with(address.options.clone()))
}

async fn try_once(address: &Address) -> Result<(), sqlx::Error> {
    let connecting = tokio::time::timeout(CONNECT_WAIT, AnyConnection::connect_with(&address.options));
    let mut connection = connecting.await.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
    prepare(&mut connection, address.engine).await?;
    connection.close().await
}

async fn prepare(connection: &mut AnyConnection, engine: Engine) -> Result<(), sqlx::Error> {
    if engine == Engine::Postgres {
        return Ok(());
    }
    let settings = "PRAGMA busy_timeout = 30000; PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL";
    connection.execute(settings).await?;
    let mut waited = Duration::ZERO;
    // The busy time-out of SQLite does not cover two processes that switch the same new file to a write-ahead log.
    while let Err(fault) = connection.execute("PRAGMA journal_mode = WAL").await {
        if !busy(&fault) || waited >= WAIT {
            return Err(fault);
        }
        tokio::time::sleep(PAUSE).await;
        waited += PAUSE;
    }
    Ok(())
}

/// Begins a write transaction once no other one is open.
pub(crate) async fn begin_write(pool: &AnyPool, engine: Engine) -> Result<Transaction<'static, Any>, sqlx::Error> {
    match engine {
        Engine::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await,
        Engine::Postgres => {
            // Read committed, so that statements see what the writer before has committed.
            let mut transaction = pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
            transaction.execute(LOCK_WRITERS).await?;
            Ok(transaction)
        }
    }
}

/// Does not log statements: they contain nothing that an operator needs.
fn silent(options: AnyConnectOptions) -> AnyConnectOptions {
    options.disable_statement_logging()
}

fn absolute(path: &str) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|fault| Error::File { path: path.to_owned(), source: fault.into() })
}

/// `host:port/database` of `user:password@host:port/database?…`.
fn without_user(server: &str) -> String {
    let place = server.split('?').next().unwrap_or(server);
    place.rsplit_once('@').map_or(place, |(_, place)| place).to_owned()
}

/// A path, encoded as the path of a URL.
fn encode(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
