//! A list that another server makes, with the rows of this one.

use std::{sync::Arc, time::Instant};

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::Generation;
use tandem_protocol::{CandidatesRequest, CandidatesResponse, ItemId, ItemRow, Timings};

use super::list::{List, timings};
use crate::{
    access::{Caller, Role},
    artifacts::Release,
    candidate_stats::ListTimes,
    error::ApiError,
    generators::Generators,
    state::AppState,
    worker::JobOutput,
};

/// A request that was checked.
pub(super) struct RemoteQuery {
    pub(super) request: CandidatesRequest,
    /// The known items of its history.
    pub(super) history: Vec<ItemIndex>,
    /// The release of the rows, if rows are wanted.
    pub(super) release: Option<Arc<Release>>,
    pub(super) arrived: Instant,
}

/// Requests the list from a generator. It follows the same database, so it knows which items are
/// available and meet a filter.
pub(super) async fn remote_list(
    state: &AppState,
    generators: &Arc<Generators>,
    caller: &Caller,
    catalogue: &Catalogue,
    query: RemoteQuery,
) -> Result<List, ApiError> {
    let RemoteQuery { request, history, release, arrived } = query;
    // A generator need not have the release of the rows.
    let k = Some(request.k.unwrap_or(state.limits.default_candidates));
    let request = CandidatesRequest { rows: false, release: None, k, ..request };
    let deadline = arrived + state.limits.timeout;
    let mut response =
        generators.list(&request, caller.client, catalogue.hash(), deadline).await?;
    let row = |item: ItemIndex| Some(release.as_ref()?.row(item));
    for candidate in &mut response.candidates {
        candidate.row = catalogue.index_of(&candidate.item).and_then(row);
        if caller.role == Role::Public {
            candidate.explanation = candidate.explanation.map(|it| it.with_counts_in_language_model());
        }
    }
    let id = |item: ItemIndex| -> ItemId { catalogue.get(item).id.clone() };
    response.history_rows =
        history.iter().filter_map(|&item| Some(ItemRow { item: id(item), row: row(item)? })).collect();
    let output = output(&response);
    let hosted = generators.models().into_iter().find(|model| model.name == response.model);
    state.metrics.list(&response.model, hosted.and_then(|model| model.engine), &output);
    response.timings = timings(&output, caller.role, arrived);
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
    };
    JobOutput { generation, queue_ms, batch: 1 }
}
