//! The databases of a test: a file of SQLite, and a schema of PostgreSQL where one answers.

use std::{
    env,
    net::{TcpStream, ToSocketAddrs},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sqlx::{Connection, Executor, PgConnection};
use tandem_storage::{Location, Storage};
use tempfile::TempDir;

/// The PostgreSQL of the tests, if `TANDEM_TEST_POSTGRES` names no other.
const POSTGRES: &str = "postgres://postgres@127.0.0.1:5432/test";

/// Number of schemas and databases that were made.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// An empty database for one test; removed with it.
pub(crate) struct TestDatabase {
    pub(crate) location: Location,
    _folder: Option<TempDir>,
    schema: Option<String>,
    /// Name of a database of its own.
    name: Option<String>,
}

impl TestDatabase {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::Sqlite(folder.path().join("storage.db"));
        Self { location, _folder: Some(folder), schema: None, name: None }
    }

    /// A schema of its own; `None`, with a message, where no PostgreSQL answers.
    pub(crate) fn postgres() -> Option<Self> {
        if !postgres_answers() {
            eprintln!("skipped on PostgreSQL: none answers at {}", server());
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let schema = format!("tandem_test_{}_{number}", std::process::id());
        execute(format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}"));
        let url = server();
        let separator = if url.contains('?') { '&' } else { '?' };
        let location = format!("{url}{separator}options=-c%20search_path%3D{schema}");
        let location = location.parse().unwrap();
        Some(Self { location, _folder: None, schema: Some(schema), name: None })
    }

    /// A database of PostgreSQL of its own, which can be dropped; `None`, with a message, where no
    /// PostgreSQL answers.
    pub(crate) fn own_postgres() -> Option<Self> {
        if !postgres_answers() {
            eprintln!("skipped on PostgreSQL: none answers at {}", server());
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem_test_{}_{number}", std::process::id());
        let url = server();
        let (address, _) = url.split_once('?').unwrap_or((&url, ""));
        let (address, _) = address.rsplit_once('/').unwrap();
        let location = format!("{address}/{name}").parse().unwrap();
        let database = Self { location, _folder: None, schema: None, name: Some(name) };
        database.make_again();
        Some(database)
    }

    /// Drops the database of [`TestDatabase::own_postgres`].
    pub(crate) fn drop_it(&self) {
        let name = self.name.as_ref().unwrap();
        execute(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }

    /// Drops it and makes an empty one of its name.
    pub(crate) fn make_again(&self) {
        self.drop_it();
        execute(format!("CREATE DATABASE {}", self.name.as_ref().unwrap()));
    }

    /// Whether the database of [`TestDatabase::own_postgres`] accepts connections. If not, those that
    /// are open are closed.
    pub(crate) fn accept_connections(&self, accept: bool) {
        let name = self.name.as_ref().unwrap();
        execute(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {accept}"));
        if !accept {
            execute(format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            ));
        }
    }

    pub(crate) fn open(&self) -> Storage {
        Storage::open(&self.location).unwrap()
    }

    /// A connection of another program, to PostgreSQL.
    pub(crate) async fn connect(&self) -> PgConnection {
        let Location::Postgres(url) = &self.location else { panic!("not a PostgreSQL") };
        PgConnection::connect(url).await.unwrap()
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Some(schema) = &self.schema {
            execute(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        }
        if self.name.is_some() {
            self.drop_it();
        }
    }
}

/// Calls a test with an empty database of each kind.
pub(crate) fn on_each(test: impl Fn(&TestDatabase)) {
    test(&TestDatabase::sqlite());
    if let Some(database) = TestDatabase::postgres() {
        test(&database);
    }
}

/// The URL of the PostgreSQL of the tests.
fn server() -> String {
    env::var("TANDEM_TEST_POSTGRES").unwrap_or_else(|_| POSTGRES.to_owned())
}

fn postgres_answers() -> bool {
    let url = server();
    let host = url.split_once('@').map_or("", |(_, rest)| rest);
    let address = host.split(['/', '?']).next().unwrap_or_default();
    let addresses = address.to_socket_addrs().into_iter().flatten();
    addresses.into_iter().any(|it| TcpStream::connect_timeout(&it, Duration::from_secs(2)).is_ok())
}

/// Runs statements on the PostgreSQL of the tests.
fn execute(statements: String) {
    let run = async {
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statements))).await.unwrap();
        connection.close().await.unwrap();
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run);
}
