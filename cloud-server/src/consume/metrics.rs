//! `/metrics` of a consumer, on an address of its own.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    thread,
};

use actix_web::{App, HttpResponse, HttpServer, http::header, rt::System, web};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{event_stream::Counters, metrics::MEDIA_TYPE};

/// Serves the metrics as long as the process runs. Returns the address.
///
/// # Errors
/// If it cannot listen there.
pub(super) fn serve(address: &str, counters: &Counters) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    let mut registry = Registry::with_prefix("tandem");
    counters.register(&mut registry);
    let registry = web::Data::new(registry);
    let run = move || {
        let app =
            move || App::new().app_data(registry.clone()).route("/metrics", web::get().to(text));
        let serving = async {
            HttpServer::new(app).workers(1).disable_signals().listen(listener)?.run().await
        };
        if let Err(error) = System::new().block_on(serving) {
            tracing::error!(%error, "the metrics are not served any more");
        }
    };
    thread::Builder::new().name("metrics".to_owned()).spawn(run)?;
    Ok(bound)
}

async fn text(registry: web::Data<Registry>) -> HttpResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type(MEDIA_TYPE)
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
