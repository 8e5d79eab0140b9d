//! A list that another server makes, with the rows of this one.

use std::{sync::Arc, time::Instant};

use tandem_dataset::ItemIndex;
use tandem_generator::Generation;
use tandem_protocol::{
    CandidatesRequest, CandidatesResponse, ItemId, ItemRow, ScoreExplanation, Timings,
};

use super::{
    list::{List, timings},
    release::find_release,
    shared_list::{read_shared_response, sharable_list, write_shared_response},
};
use crate::{
    access::{Caller, Role},
    candidate_stats::ListTimes,
    error::ApiError,
    generators::Generators,
    item_ids::resolve_request,
    live_items::check_filter,
    recommender::Recommender,
    shared::ListUse,
    state::AppState,
    worker::JobOutput,
};

/// A request that another server answers.
pub(super) struct RemoteQuery {
    pub(super) request: CandidatesRequest,
    pub(super) arrived: Instant,
}

/// Checks the request, and requests the list from a generator. It follows the same database, so
/// it knows which items are available and meet a filter.
pub(super) async fn remote_list(
    state: &AppState,
    recommender: &Recommender,
    generators: &Arc<Generators>,
    caller: &Caller,
    query: RemoteQuery,
) -> Result<List, ApiError> {
    let Recommender { catalogue, artifacts, .. } = recommender;
    let RemoteQuery { request, arrived } = query;
    let history =
        resolve_request(&request, |id| catalogue.index_of(id), &state.limits)?.job.history;
    if let Some(filter) = &request.filter {
        check_filter(filter, state.storage.is_some())?;
    }
    let release = if request.rows {
        Some(find_release(artifacts, request.release.as_deref()).await?)
    } else {
        None
    };
    if state.is_draining() {
        return Err(ApiError::ShuttingDown);
    }
    // A generator need not have the release of the rows.
    let k = Some(request.k.unwrap_or(state.limits.default_candidates));
    let request = CandidatesRequest { rows: false, release: None, k, ..request };
    let deadline = arrived + state.limits.timeout;
    let make = async {
        let response = generators.list(&request, caller.client, catalogue.hash(), deadline).await?;
        let models = generators.models(catalogue.hash());
        let hosted = models.into_iter().find(|model| model.name == response.model);
        let engine = hosted.and_then(|model| model.engine);
        state.metrics.list(&response.model, engine, &output(&response));
        Ok(response)
    };
    let sharable = sharable_list(state, recommender, &request, || {
        let is_named = |name: &str| request.model.as_deref().is_none_or(|wanted| wanted == name);
        let models = generators.models(catalogue.hash());
        models.into_iter().find(|model| is_named(&model.name))
    });
    let mut response = match sharable {
        None => make.await?,
        Some(sharable) => {
            let read = |list| read_shared_response(list, &state.items, catalogue.hash());
            let list = ListUse { read, make, write: write_shared_response };
            let within = (deadline, state.limits.timeout);
            sharable.get(within, || state.is_refusing(), list).await?
        }
    };
    let row = |item: ItemIndex| Some(release.as_ref()?.row(item));
    for candidate in &mut response.candidates {
        candidate.row = catalogue.index_of(&candidate.item).and_then(row);
        if caller.role == Role::Public {
            candidate.explanation =
                candidate.explanation.map(ScoreExplanation::with_counts_in_language_model);
        }
    }
    let id = |item: ItemIndex| -> ItemId { catalogue.get(item).id.clone() };
    response.history_rows = history
        .iter()
        .filter_map(|&item| Some(ItemRow { item: id(item), row: row(item)? }))
        .collect();
    let output = output(&response);
    response.timings = timings(&output, caller.role, arrived, state.shares_lists());
    let Timings { queue_ms, prompt_ms, decode_ms, .. } = response.timings;
    Ok(List {
        tokens: output.generation.prompt_tokens + output.generation.decoded_tokens,
        times: ListTimes {
            queue_s: queue_ms / 1e3,
            prompt_s: prompt_ms / 1e3,
            decode_s: decode_ms / 1e3,
        },
        release: release.map(|release| release.hash().to_owned()),
        response,
    })
}

/// What the metrics count of a list. Its candidates are not copied.
fn output(response: &CandidatesResponse) -> JobOutput {
    let Timings { queue_ms, prompt_ms, decode_ms, prompt_tokens, decoded_tokens, .. } =
        response.timings;
    let generation = Generation {
        ranking: response.ranking,
        prompt_ms,
        decode_ms,
        prompt_tokens,
        decoded_tokens,
        truncated: response.ignored.truncated,
        candidates: Vec::new(),
        explanations: Vec::new(),
        cached_tokens: 0,
        // Is in the metrics of the generator.
        evaluate_ms: 0.0,
    };
    JobOutput { generation, queue_ms, batch: 1 }
}
