use std::time::Instant;

use actix_web::{HttpMessage, HttpRequest, web};
use tandem_protocol::{
    Candidate, CandidatesRequest, CandidatesResponse, Ignored, ItemRow, Timings,
};

use crate::{
    body::JsonBody,
    error::ApiError,
    item_ids::{ResolvedRequest, resolve_request},
    request_log::CandidateStats,
    state::{AppState, Recommender},
    worker::{JobOutput, WorkerError},
};

/// `POST /v1/candidates`: a candidate list for a history.
pub(super) async fn candidates(
    state: web::Data<AppState>,
    http: HttpRequest,
    JsonBody(request): JsonBody<CandidatesRequest>,
) -> Result<web::Json<CandidatesResponse>, ApiError> {
    let arrived = Instant::now();
    let recommender = state.recommender();
    let Recommender { catalogue, artifacts, models, .. } = &*recommender;
    let ResolvedRequest { job, ignored } = resolve_request(&request, catalogue, &state.limits)?;
    let model = models.find(request.model.as_deref())?;
    let history = job.history.clone();
    let deadline = arrived + state.limits.timeout;
    let output = model.worker.generate(job, deadline).await;
    let JobOutput { generation, queue_ms } = output.map_err(|error| match error {
        WorkerError::NotReady => ApiError::NotReady,
        WorkerError::Full { retry_after_s } => ApiError::Overloaded { retry_after_s },
        WorkerError::Timeout => ApiError::Timeout { seconds: state.limits.timeout.as_secs() },
        WorkerError::Failed => ApiError::Internal,
    })?;

    let release = request.rows.then(|| artifacts.current());
    let row = |item| release.as_ref().map(|release| release.row(item));
    let id = |item| catalogue.get(item).id.clone();
    let candidates: Vec<_> = generation
        .candidates
        .iter()
        .map(|ranked| Candidate {
            item: id(ranked.item),
            logprob: ranked.logprob,
            row: row(ranked.item),
        })
        .collect();
    let history_rows = history
        .iter()
        .filter_map(|&item| Some(ItemRow { item: id(item), row: row(item)? }))
        .collect();
    http.extensions_mut().insert(CandidateStats {
        candidates: candidates.len(),
        tokens: generation.prompt_tokens + generation.decoded_tokens,
    });
    Ok(web::Json(CandidatesResponse {
        model: model.name.clone(),
        catalogue_hash: catalogue.hash().to_owned(),
        ranking: generation.ranking,
        candidates,
        history_rows,
        ignored: Ignored { truncated: generation.truncated, ..ignored },
        timings: Timings {
            queue_ms,
            prompt_ms: generation.prompt_ms,
            decode_ms: generation.decode_ms,
            total_ms: arrived.elapsed().as_secs_f64() * 1e3,
            prompt_tokens: generation.prompt_tokens,
            decoded_tokens: generation.decoded_tokens,
        },
    }))
}
