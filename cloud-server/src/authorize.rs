//! The check of key, role and rates before a route.

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    web,
};

use crate::{
    access::{Caller, Cost, Role},
    error::ApiError,
    messages::shortened,
    state::AppState,
};

/// Who may use a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Everyone, without a key.
    Open,
    /// Callers with a key, at this cost.
    Public(Cost),
    /// Callers with an admin key.
    Admin,
}

/// Middleware of a route. Passes the [`Caller`] to its handler.
pub(crate) async fn authorize<B: MessageBody + 'static>(
    access: Access,
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admit(access, &request).await {
        Ok(caller) => {
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        // As a response, not as an error: the other middlewares see it.
        Err(error) => Ok(request.into_response(error.error_response())),
    }
}

async fn admit(access: Access, request: &ServiceRequest) -> Result<Option<Caller>, ApiError> {
    let cost = match access {
        Access::Open => return Ok(None),
        Access::Public(cost) => cost,
        Access::Admin => Cost::Request,
    };
    let state = request.app_data::<web::Data<AppState>>().ok_or(ApiError::Internal)?;
    let rules = state.access();
    let peer = request.peer_addr().map(|peer| peer.ip());
    let caller = rules.caller(peer, request.version(), request.headers())?;
    rules.charge(&caller, cost, state.shared.as_ref()).await?;
    if matches!(access, Access::Admin) && caller.role < Role::Admin {
        return Err(ApiError::Forbidden);
    }
    if !request.method().is_safe() {
        without_parameters(request.query_string())?;
    }
    Ok(Some(caller))
}

/// No route with a body takes a query. One that is ignored would do something else than its caller
/// wants (`?dry_run=1`).
fn without_parameters(query: &str) -> Result<(), ApiError> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        None => Ok(()),
        Some((name, _)) => Err(ApiError::InvalidField {
            field: shortened(&name),
            detail: "expected no parameters: this route reads none from the query".to_owned(),
        }),
    }
}
