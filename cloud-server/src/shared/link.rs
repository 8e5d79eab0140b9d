//! The connection to Redis: one for all threads, made and kept by a thread of its own.
//!
//! No request waits for a connection. A command that fails or is not answered in time closes the
//! connection; until there is a new one, commands fail at once, and the server does without Redis.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Script, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{Notify, oneshot},
    time::{sleep, timeout},
};

use super::{RedisFailure, RedisUrl, counters::Counters, failure::COMMAND_TIMEOUT};

/// Maximum time to connect, which no request waits for.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for which Redis is left alone after a failure.
const PAUSE: Duration = Duration::from_secs(2);

/// Redis did not answer. The log has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    inner: Arc<Inner>,
    /// The runtime of the thread.
    runtime: Handle,
    /// Dropped to end the thread.
    _stop: oneshot::Sender<()>,
}

const ANSWERS: u8 = 0;
const NO_ANSWER: u8 = 1;
/// This does not end by itself, so it is said even if Redis did not answer before.
const REFUSES: u8 = 2;

#[derive(Debug)]
struct Inner {
    connection: Mutex<Current>,
    /// Wakes the thread when the connection was closed.
    is_closed: Notify,
    /// What the log says of Redis: [`ANSWERS`], [`NO_ANSWER`] or [`REFUSES`].
    told: AtomicU8,
    counters: Counters,
    /// The address without password.
    address: String,
    /// Number of the database.
    database: i64,
}

#[derive(Debug, Default)]
struct Current {
    /// `None` while Redis is left alone.
    connection: Option<MultiplexedConnection>,
    /// Number of connections that were made.
    number: u64,
}

impl Link {
    /// Starts the thread, which connects. Redis need not answer.
    ///
    /// # Errors
    /// If the system cannot create a thread.
    pub(super) fn start(url: &RedisUrl, counters: Counters) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            connection: Mutex::default(),
            is_closed: Notify::new(),
            told: AtomicU8::new(ANSWERS),
            counters,
            address: url.to_string(),
            database: url.database(),
        });
        let client = Client::open(url.info().clone()).map_err(io::Error::other)?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let keep = Arc::clone(&inner);
        thread::Builder::new().name("redis".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    () = keep.stay_connected(&client) => {}
                }
            });
        })?;
        Ok(Self { inner, runtime: handle, _stop: stop })
    }

    /// Runs a script.
    ///
    /// # Errors
    /// [`Unavailable`] if Redis is left alone, does not answer in time, or refuses the command.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        self.inner.run(script).await
    }

    /// Runs a script whose result nobody waits for, also when the request has ended.
    pub(super) fn run_later(&self, script: ScriptInvocation<'static>) {
        let inner = Arc::clone(&self.inner);
        self.runtime.spawn(async move {
            // A failure is counted, and the log has it.
            let _ = inner.run::<redis::Value>(&script).await;
        });
    }
}

impl Inner {
    async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, Unavailable> {
        let (number, mut connection) = {
            let current = self.current();
            (current.number, current.connection.clone().ok_or(Unavailable)?)
        };
        let answer = timeout(COMMAND_TIMEOUT, script.invoke_async(&mut connection)).await;
        let failure = match answer {
            Ok(Ok(value)) => {
                if self.told.load(Ordering::Relaxed) != ANSWERS
                    && self.told.swap(ANSWERS, Ordering::Relaxed) != ANSWERS
                {
                    tracing::info!(redis = self.address, "Redis answers again");
                }
                return Ok(value);
            }
            Ok(Err(error)) => RedisFailure::new(&error, self.database),
            Err(_) => RedisFailure::timeout(),
        };
        self.close(number);
        self.tell(&failure);
        self.counters.failed();
        Err(Unavailable)
    }

    /// Makes a connection whenever there is none.
    async fn stay_connected(&self, client: &Client) {
        loop {
            match connect(client, self.database).await {
                Ok(connection) => {
                    {
                        let mut current = self.current();
                        current.number += 1;
                        current.connection = Some(connection);
                    }
                    self.counters.set_up(true);
                    tracing::debug!(redis = self.address, "connected to Redis");
                    self.is_closed.notified().await;
                }
                Err(error) => {
                    self.tell(&error);
                    self.counters.failed();
                }
            }
            sleep(PAUSE).await;
        }
    }

    /// Closes a connection, unless there is another one by now.
    fn close(&self, number: u64) {
        let mut current = self.current();
        if current.number == number && current.connection.take().is_some() {
            drop(current);
            self.counters.set_up(false);
            self.is_closed.notify_one();
        }
    }

    /// Says once in the log that Redis does not answer, and once that it refuses, until it has
    /// answered a command.
    fn tell(&self, failure: &RedisFailure) {
        let news = if failure.is_refusal() { REFUSES } else { NO_ANSWER };
        if self.told.fetch_max(news, Ordering::Relaxed) >= news {
            return;
        }
        let (redis, error) = (&self.address, failure);
        if failure.is_refusal() {
            tracing::warn!(
                redis,
                %error,
                "Redis refuses this server, which counts rates and makes lists by itself"
            );
        } else {
            tracing::warn!(
                redis,
                %error,
                "Redis does not answer: this server counts rates and makes lists by itself"
            );
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on which Redis has answered as fast as it has to answer commands.
async fn connect(client: &Client, database: i64) -> Result<MultiplexedConnection, RedisFailure> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(COMMAND_TIMEOUT));
    let failed = |error| RedisFailure::to_connect(&error, database);
    let connected = client.get_multiplexed_async_connection_with_config(&config).await;
    let mut connection = connected.map_err(failed)?;
    let ping = redis::cmd("PING");
    let answer = timeout(COMMAND_TIMEOUT, ping.query_async::<()>(&mut connection)).await;
    answer.map_err(|_| RedisFailure::timeout())?.map_err(failed)?;
    Ok(connection)
}

/// Connects once and runs a script, as a server does for each request. Blocks.
///
/// # Errors
/// What a server would log.
pub(crate) fn try_redis(url: &RedisUrl) -> Result<(), RedisFailure> {
    let failed = |error| RedisFailure::new(&error, url.database());
    let client = Client::open(url.info().clone()).map_err(failed)?;
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RedisFailure::Unreachable(error.to_string()))?;
    runtime.block_on(async {
        let mut connection = connect(&client, url.database()).await?;
        let script = Script::new("return 1");
        let script = script.prepare_invoke();
        let answer = timeout(COMMAND_TIMEOUT, script.invoke_async::<()>(&mut connection)).await;
        answer.map_err(|_| RedisFailure::timeout())?.map_err(failed)
    })
}
