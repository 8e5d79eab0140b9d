//! A thread that serves connections: HTTP with limits, and the application.

use std::{future::poll_fn, io, net::SocketAddr, rc::Rc, time::Duration};

use actix_http::{HttpService, Protocol};
use actix_rt::{Arbiter, ArbiterHandle, net::TcpStream};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{dev::AppConfig, web};
use tokio::sync::{
    mpsc::{self, UnboundedReceiver, UnboundedSender},
    watch,
};

use crate::{
    connection::{Activity, GuardedStream, Place},
    routes::create_app,
    state::AppState,
};

/// Time in which a client may still send after a response that closes the connection.
const LINGER: Duration = Duration::from_secs(1);
/// Maximum number of threads for file operations, of all HTTP threads together.
const BLOCKING_THREADS: usize = 512;

/// A connection that has a place.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

/// Starts one of `threads` threads. It ends when its handle stops it, and closes its connections.
pub(super) fn start(
    state: &web::Data<AppState>,
    address: SocketAddr,
    threads: usize,
    closing: &watch::Sender<bool>,
) -> io::Result<(ArbiterHandle, UnboundedSender<Accepted>)> {
    let (sender, accepted) = mpsc::unbounded_channel();
    let (state, closing) = (state.clone(), closing.subscribe());
    let arbiter = Arbiter::try_with_tokio_rt(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads((BLOCKING_THREADS / threads).max(1))
            .build()
    })?;
    arbiter.spawn_fn(move || {
        actix_rt::spawn(async move {
            if let Err(error) = run(state, address, closing, accepted).await {
                tracing::error!(%error, "an HTTP thread could not start");
            }
        });
    });
    Ok((arbiter.handle(), sender))
}

async fn run(
    state: web::Data<AppState>,
    address: SocketAddr,
    closing: watch::Receiver<bool>,
    mut accepted: UnboundedReceiver<Accepted>,
) -> io::Result<()> {
    let limits = Rc::new(state.limits.connections.clone());
    let app = create_app(state).into_factory();
    let http = HttpService::build()
        .graceful_shutdown_signal(move || {
            let mut closing = closing.clone();
            async move {
                // Also if the server is gone.
                let _ = closing.wait_for(|closing| *closing).await;
            }
        })
        .keep_alive(limits.keep_alive)
        .client_request_timeout(limits.head)
        .client_disconnect_timeout(LINGER)
        // When a client closes its connection, its request and its job are dropped.
        .h1_allow_half_closed(false)
        .local_addr(address)
        .on_connect_ext(|stream: &GuardedStream, data| {
            data.insert::<Rc<Activity>>(stream.activity());
        })
        .finish(map_config(app.map_err(|error| error.error_response()), |()| AppConfig::default()));
    let service = http.new_service(()).await;
    let service = service.map_err(|()| io::Error::other("the application could not start"))?;
    while let Some(Accepted { stream, peer, place }) = accepted.recv().await {
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        let _ = stream.set_nodelay(true);
        let stream = GuardedStream::new(stream, Rc::clone(&limits), place);
        // Errors are those of connections, which have been closed.
        if poll_fn(|context| service.poll_ready(context)).await.is_ok() {
            actix_rt::spawn(service.call((stream, Protocol::Http1, Some(peer))));
        }
    }
    Ok(())
}
