use std::{
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::{HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::AddedItems;
use tandem_protocol::{
    BatchAnswer, BatchRequest, BatchResponse, Candidate, CandidatesRequest, CandidatesResponse,
    EngineKind, Ignored, ItemFilter, ItemId, ItemRow, Problem,
};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{
    artifacts::RELEASE_HEADER,
    list::{List, timings},
    release::find_release,
    remote_list::{RemoteQuery, remote_list},
    shared_list::{read_shared, sharable_list, write_shared},
};
use crate::{
    access::{Caller, Role},
    artifacts::Release,
    body::JsonBody,
    candidate_stats::{CandidateStats, ListTimes},
    error::ApiError,
    item_ids::{ResolvedRequest, resolve_request},
    live_items::check_filter,
    recommender::Recommender,
    shared::{ListUse, SharedList},
    state::AppState,
    worker::{Job, JobOutput, WorkerError},
};

/// Number of requests of a batch in the queue at a time.
const BATCH_IN_QUEUE: usize = 8;

/// A candidate list for a history.
///
/// All candidates are distinct items of the catalogue, none of them in the history or excluded, and
/// all of them meet the filter.
#[utoipa::path(
    post, path = "/v1/candidates", tag = "public", request_body = CandidatesRequest,
    responses(
        (status = 200, description = "The list, best first", body = CandidatesResponse),
        (status = 400, description = "A field is missing, unknown or out of range", body = Problem),
        (status = 401, description = "No valid key", body = Problem),
        (status = 409, description = "The server does not have the release", body = Problem),
        (status = 413, description = "The body is too large", body = Problem),
        (status = 429, description = "Too many requests of this client or key", body = Problem),
        (status = 503, description = "Loading, shutting down or overloaded", body = Problem),
        (status = 504, description = "No list in time", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn candidates(
    state: web::Data<AppState>,
    http: HttpRequest,
    caller: web::ReqData<Caller>,
    JsonBody(request): JsonBody<CandidatesRequest>,
) -> Result<HttpResponse, ApiError> {
    let arrived = Instant::now();
    let list = make_list(&state, &state.recommender(), &caller, request, arrived).await?;
    http.extensions_mut().insert(CandidateStats {
        candidates: list.response.candidates.len(),
        tokens: list.tokens,
        times: Some(list.times),
    });
    let mut response = HttpResponse::Ok();
    if let Some(release) = list.release {
        response.insert_header((RELEASE_HEADER, release));
    }
    Ok(response.json(list.response))
}

/// Candidate lists for several histories, for programs of the shop.
///
/// The whole batch has the time limit of one request. A request that fails has a `problem` in
/// place of its list.
#[utoipa::path(
    post, path = "/v1/candidates/batch", tag = "admin", request_body = BatchRequest,
    responses(
        (status = 200, description = "One answer per request, in order", body = BatchResponse),
        (status = 400, description = "The batch is too large", body = Problem),
        (status = 403, description = "Not an admin key", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn batch(
    state: web::Data<AppState>,
    http: HttpRequest,
    caller: web::ReqData<Caller>,
    JsonBody(BatchRequest { requests }): JsonBody<BatchRequest>,
) -> Result<web::Json<BatchResponse>, ApiError> {
    let arrived = Instant::now();
    if requests.len() > state.limits.batch {
        return Err(ApiError::InvalidField {
            field: "requests".to_owned(),
            detail: format!(
                "expected at most {} requests, found {}; send them in several batches",
                state.limits.batch,
                requests.len()
            ),
        });
    }
    let (caller, recommender) = (caller.into_inner(), state.recommender());
    let places = Rc::new(Semaphore::new(BATCH_IN_QUEUE));
    let mut answers: Vec<Option<Result<List, ApiError>>> = requests.iter().map(|_| None).collect();
    // Dropped with the request, and with it all of its jobs, if the client disconnects.
    let mut tasks = JoinSet::new();
    for (at, request) in requests.into_iter().enumerate() {
        let (state, caller, places) = (state.clone(), caller.clone(), Rc::clone(&places));
        let recommender = Arc::clone(&recommender);
        tasks.spawn_local(async move {
            let _place = places.acquire().await;
            (at, make_list(&state, &recommender, &caller, request, arrived).await)
        });
    }
    while let Some(done) = tasks.join_next().await {
        let (at, answer) = done.map_err(|_| ApiError::Internal)?;
        answers[at] = Some(answer);
    }
    let mut stats = CandidateStats::default();
    let answers = answers.into_iter().map(|answer| match answer {
        Some(Ok(list)) => {
            stats.candidates += list.response.candidates.len();
            stats.tokens += list.tokens;
            BatchAnswer { list: Some(list.response), problem: None }
        }
        Some(Err(error)) => {
            BatchAnswer { list: None, problem: Some(error.problem(error.status_code())) }
        }
        None => BatchAnswer { list: None, problem: None },
    });
    let answers = answers.collect();
    http.extensions_mut().insert(stats);
    Ok(web::Json(BatchResponse { answers }))
}

async fn make_list(
    state: &AppState,
    recommender: &Recommender,
    caller: &Caller,
    request: CandidatesRequest,
    arrived: Instant,
) -> Result<List, ApiError> {
    if let Some(generators) = &state.generators {
        let query = RemoteQuery { request, arrived };
        return remote_list(state, recommender, generators, caller, query).await;
    }
    let Recommender { catalogue, artifacts, models, .. } = recommender;
    let model = models.find(request.model.as_deref())?;
    // Before the hidden items, so that each of these that is hidden is among those.
    let added = state.items.added(catalogue);
    let positions = added.as_ref().map_or(catalogue.len(), |added| added.positions());
    let needs_text = model.worker.engine() != Some(EngineKind::Titles);
    let is_read = |item: &ItemIndex| {
        let added = added.as_ref().and_then(|added| added.get(*item));
        item.position() < catalogue.len()
            || added.is_some_and(|added| added.text.is_some() || !needs_text)
    };
    let position = |id: &ItemId| state.items.position(catalogue, id).filter(is_read);
    let ResolvedRequest { mut job, ignored } = resolve_request(&request, position, &state.limits)?;
    let sharable = sharable_list(state, recommender, &request, || Some(model.status()));
    let total = leave_out_hidden(state, catalogue, request.filter.as_ref(), &mut job, positions)?;
    job.added.clone_from(&added);
    let wanted = request.release.as_deref();
    let (release, for_added) = match (request.rows, wanted) {
        (true, wanted) => (Some(find_release(artifacts, wanted).await?), None),
        // A device with all rows of a release lacks those of added items. Without them it keeps
        // the list's order of these.
        (false, Some(_)) if added.is_some() => (None, find_release(artifacts, wanted).await.ok()),
        (false, _) => (None, None),
    };
    // The ids of the request are not kept while it waits.
    drop((request.history, request.exclude));
    if state.is_draining() {
        return Err(ApiError::ShuttingDown);
    }
    let history = job.history.clone();
    let deadline = arrived + state.limits.timeout;
    let make = async {
        let output = model.worker.generate(caller.client, job, deadline).await;
        let output = output.map_err(|error| refusal(error, state.limits.timeout))?;
        state.metrics.list(&model.name, model.worker.engine(), &output);
        Ok(output)
    };
    let id = |item: ItemIndex| match added.as_deref().and_then(|added| added.get(item)) {
        Some(added) => added.item.id.clone(),
        None => catalogue.get(item).id.clone(),
    };
    let output = match sharable {
        None => make.await?,
        Some(sharable) => {
            let read = |list: SharedList| read_shared(list, &state.items, position);
            let write = |output: &JobOutput| write_shared(output, &model.name, ignored, id);
            let within = (deadline, state.limits.timeout);
            let list = ListUse { read, make, write };
            sharable.get(within, || state.is_refusing(), list).await?
        }
    };
    let tokens = output.generation.prompt_tokens + output.generation.decoded_tokens;
    let times = ListTimes {
        queue_s: output.queue_ms / 1e3,
        prompt_s: output.generation.prompt_ms / 1e3,
        decode_s: output.generation.decode_ms / 1e3,
    };
    let timings = timings(&output, caller.role, arrived, state.shares_lists());
    let added = added.as_deref();
    let row = |item: ItemIndex| {
        let for_added = for_added.as_ref().filter(|_| item.position() >= catalogue.len());
        row_of(release.as_ref().or(for_added)?, catalogue, added, item)
    };
    let JobOutput { generation, .. } = output;
    let explanation = |at: usize| {
        let explanation = *generation.explanations.get(at)?;
        Some(match caller.role {
            Role::Public => explanation.with_counts_in_language_model(),
            Role::Admin => explanation,
        })
    };
    let candidates = generation
        .candidates
        .iter()
        .enumerate()
        .map(|(at, ranked)| Candidate {
            item: id(ranked.item),
            logprob: ranked.logprob,
            row: row(ranked.item),
            explanation: explanation(at),
        })
        .collect();
    let history_rows = history
        .iter()
        .filter_map(|&item| Some(ItemRow { row: row(item)?, item: id(item) }))
        .collect();
    let response = CandidatesResponse {
        model: model.name.clone(),
        catalogue_hash: catalogue.hash().to_owned(),
        ranking: generation.ranking,
        candidates,
        total,
        history_rows,
        ignored: Ignored { truncated: generation.truncated, ..ignored },
        timings,
    };
    let release = release.map(|release| release.hash().to_owned());
    Ok(List { response, tokens, times, release })
}

/// The answer to a request without a list, which may take `time`.
fn refusal(error: WorkerError, time: Duration) -> ApiError {
    match error {
        WorkerError::NotReady => ApiError::NotReady,
        WorkerError::Full { retry_after_s } => ApiError::Overloaded { retry_after_s },
        WorkerError::Timeout => ApiError::Timeout { seconds: time.as_secs() },
        WorkerError::Stopping => ApiError::ShuttingDown,
        WorkerError::Failed => ApiError::Internal,
    }
}

/// Limits a job to the items that may be recommended and meet the filter. Returns the number of all
/// items that do, if there is a filter.
fn leave_out_hidden(
    state: &AppState,
    catalogue: &Arc<Catalogue>,
    filter: Option<&ItemFilter>,
    job: &mut Job,
    positions: usize,
) -> Result<Option<usize>, ApiError> {
    if let Some(filter) = filter {
        check_filter(filter, state.storage.is_some())?;
        // Without the hidden items.
        let (matching, total) = state.items.matching(catalogue, filter);
        job.only = Some(matching);
        return Ok(Some(total));
    }
    state.items.exclude(catalogue, &mut job.exclude);
    job.exclude.retain(|item| item.position() < positions);
    Ok(None)
}

/// The row of an item: for an added one an estimate by the known items with the most similar texts.
/// `None` for an added item without a text.
pub(super) fn row_of(
    release: &Release,
    catalogue: &Catalogue,
    added: Option<&AddedItems>,
    item: ItemIndex,
) -> Option<String> {
    if item.position() < catalogue.len() {
        return Some(release.row(item));
    }
    let text = added?.text(item)?;
    Some(release.estimated_row(text.neighbours(), text.spread()))
}
