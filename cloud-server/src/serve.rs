//! The HTTP server: listener, connections with limits, and the application.

use std::{io, net::TcpListener, rc::Rc, time::Duration};

use actix_http::{HttpService, Protocol};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::{dev::AppConfig, rt::net::TcpStream, web};

use crate::{
    client::Client,
    connection::{Activity, GuardedStream, too_many_connections},
    routes::create_app,
    state::AppState,
};

/// Maximum number of HTTP threads. They only parse, look up and wait for the language models.
const MAX_HTTP_THREADS: usize = 4;
/// Connections beyond the limit that are accepted to be told so, on each thread.
const SURPLUS: usize = 64;
/// Time in which a client may still send after a response that closes the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Maximum time to tell a client that its connection is not accepted.
const REFUSAL: Duration = Duration::from_millis(100);
/// Seconds that connections get to end after all requests have been answered.
const CLOSE_S: u64 = 1;

/// Creates the HTTP server on an open listener. It runs when it is awaited, until it is stopped by
/// its handle; signals are left to the caller.
///
/// # Errors
/// If the system refuses the listener or a thread.
pub fn serve(listener: TcpListener, state: web::Data<AppState>) -> io::Result<Server> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let address = listener.local_addr()?;
    let builder: ServerBuilder = Server::build()
        .workers(threads.min(MAX_HTTP_THREADS))
        // The limit of all threads together is that of `Admission`.
        .max_concurrent_connections(state.limits.connections.total + SURPLUS)
        .shutdown_timeout(CLOSE_S)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("cloud-server", listener, move || {
        let limits = Rc::new(state.limits.connections.clone());
        let stopping = stopping.clone();
        let app = create_app(state.clone()).into_factory();
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .keep_alive(limits.keep_alive)
            .client_request_timeout(limits.head)
            .client_disconnect_timeout(LINGER)
            // When a client closes its connection, its request and its job are dropped.
            .h1_allow_half_closed(false)
            .tcp_nodelay(true)
            .local_addr(address)
            .on_connect_ext(|stream: &GuardedStream, data| {
                data.insert::<Rc<Activity>>(stream.activity());
            })
            .finish(map_config(app.map_err(|error| error.error_response()), |()| {
                AppConfig::default()
            }));
        let state = state.clone();
        fn_service(move |io: TcpStream| {
            let (state, limits) = (state.clone(), Rc::clone(&limits));
            async move {
                let peer = io.peer_addr()?;
                let is_proxy = state.access().is_proxy(peer.ip());
                match state.connections.admit(Client::of(peer.ip()), is_proxy) {
                    Ok(place) => {
                        let _ = io.set_nodelay(true);
                        Ok((GuardedStream::new(io, limits, place), Protocol::Http1, Some(peer)))
                    }
                    Err(limit) => {
                        state.metrics.connection_refused(limit);
                        refuse(&io).await;
                        Err(io::Error::from(io::ErrorKind::ConnectionRefused).into())
                    }
                }
            }
        })
        .and_then(http)
    })?;
    Ok(server.run())
}

/// Tells a client why its connection is closed, if that is possible without a wait.
async fn refuse(io: &TcpStream) {
    let writable = tokio::time::timeout(REFUSAL, io.writable()).await;
    if matches!(writable, Ok(Ok(()))) {
        // If it does not fit, the client sees a closed connection.
        let _ = io.try_write(&too_many_connections());
    }
}
