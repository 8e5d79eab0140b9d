//! A schema of PostgreSQL for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const SERVER: &str = "postgres://postgres@127.0.0.1:5432/test";

/// A schema, which is removed with the value.
pub(crate) struct Schema(String);

impl Schema {
    /// `None`, with a message, where no PostgreSQL answers.
    pub(crate) fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if run(PgConnection::connect(SERVER)).is_err() {
            eprintln!("skipped: no PostgreSQL answers at {SERVER}");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem_api_{}_{number}", std::process::id());
        execute(format!("CREATE SCHEMA {name}"));
        Some(Self(name))
    }

    /// The URL, by the port of PostgreSQL or of a proxy in front of it.
    pub(crate) fn url(&self, port: u16) -> String {
        format!("postgres://postgres@127.0.0.1:{port}/test?options=-c%20search_path%3D{}", self.0)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        execute(format!("DROP SCHEMA {} CASCADE", self.0));
    }
}

fn run<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(task)
}

fn execute(statement: String) {
    run(async {
        let mut connection = PgConnection::connect(SERVER).await.unwrap();
        connection.execute(sqlx::raw_sql(AssertSqlSafe(statement))).await.unwrap();
    });
}
