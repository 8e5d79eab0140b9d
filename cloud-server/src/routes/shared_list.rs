//! A list that equal requests share, in the forms of this server.

use tandem_dataset::ItemIndex;
use tandem_generator::{Generation, Ranked};
use tandem_protocol::{
    Candidate, CandidatesRequest, CandidatesResponse, HostedModel, Ignored, ItemId, Timings,
};

use crate::{
    live_items::LiveItems,
    recommender::Recommender,
    shared::{ListMaker, SharableList, SharedList},
    state::AppState,
    worker::JobOutput,
};

/// The list of a request by this model, if it is shared. Without a model it is not.
pub(super) fn sharable_list<'s>(
    state: &'s AppState,
    recommender: &Recommender,
    request: &CandidatesRequest,
    model: impl FnOnce() -> Option<HostedModel>,
) -> Option<SharableList<'s>> {
    let shared = state.shared.as_ref().filter(|shared| shared.has_lists())?;
    let artifacts = recommender.artifacts.current();
    let maker = ListMaker {
        is_remote: state.generators.is_some(),
        model: model()?,
        catalogue: recommender.catalogue.hash(),
        artifacts: artifacts.hash(),
    };
    shared.sharable(request, &maker)
}

/// A shared list as this server would have made it, in no time; `None` if one of its items must not
/// be recommended now, or has no position.
pub(super) fn read_shared(
    list: SharedList,
    items: &LiveItems,
    position: impl Fn(&ItemId) -> Option<ItemIndex>,
) -> Option<JobOutput> {
    let SharedList { ranking, candidates, ignored, .. } = list;
    if !items.are_visible(candidates.iter().map(|(id, _)| id)) {
        return None;
    }
    let ranked =
        |(id, logprob): &(ItemId, f32)| Some(Ranked { item: position(id)?, logprob: *logprob });
    let generation = Generation {
        candidates: candidates.iter().map(ranked).collect::<Option<_>>()?,
        ..Generation::empty(ranking, ignored.truncated)
    };
    Some(JobOutput { generation, queue_ms: 0.0, batch: 1 })
}

/// What other servers get of a list that this one has made.
pub(super) fn write_shared(
    output: &JobOutput,
    model: &str,
    ignored: Ignored,
    id: impl Fn(ItemIndex) -> ItemId,
) -> SharedList {
    let Generation { candidates, ranking, truncated, .. } = &output.generation;
    SharedList {
        model: model.to_owned(),
        ranking: *ranking,
        candidates: candidates.iter().map(|ranked| (id(ranked.item), ranked.logprob)).collect(),
        ignored: Ignored { truncated: *truncated, ..ignored },
    }
}

/// As [`read_shared`], as the response of a generator.
pub(super) fn read_shared_response(
    list: SharedList,
    items: &LiveItems,
    catalogue_hash: &str,
) -> Option<CandidatesResponse> {
    let SharedList { model, ranking, candidates, ignored } = list;
    if !items.are_visible(candidates.iter().map(|(id, _)| id)) {
        return None;
    }
    let candidate = |(item, logprob)| Candidate { item, logprob, row: None, explanation: None };
    Some(CandidatesResponse {
        model,
        catalogue_hash: catalogue_hash.to_owned(),
        ranking,
        candidates: candidates.into_iter().map(candidate).collect(),
        total: None,
        history_rows: Vec::new(),
        ignored,
        timings: Timings::default(),
    })
}

/// As [`write_shared`], of the response of a generator.
pub(super) fn write_shared_response(response: &CandidatesResponse) -> SharedList {
    let CandidatesResponse { model, ranking, candidates, ignored, .. } = response;
    let candidate = |candidate: &Candidate| (candidate.item.clone(), candidate.logprob);
    SharedList {
        model: model.clone(),
        ranking: *ranking,
        candidates: candidates.iter().map(candidate).collect(),
        ignored: *ignored,
    }
}
