use std::collections::HashSet;

use tandem_dataset::ItemIndex;
use tandem_protocol::{CandidatesRequest, Ignored, ItemId};

use crate::{config::Limits, error::ApiError, worker::Job};

/// A request for candidates with catalogue positions instead of ids.
#[derive(Debug)]
pub(crate) struct ResolvedRequest {
    /// The input of the generator.
    pub(crate) job: Job,
    /// Counts of ignored ids. The generator sets `truncated`.
    pub(crate) ignored: Ignored,
}

/// Translates ids to positions, which `position` returns for known items. Of a repeated item the
/// newest occurrence is kept.
///
/// The job has the whole known history: the generator reads the newest part and excludes all
/// of it from the candidates.
///
/// # Errors
/// [`ApiError::InvalidField`] if a list is too long or `k` is out of range.
pub(crate) fn resolve_request(
    request: &CandidatesRequest,
    position: impl Fn(&ItemId) -> Option<ItemIndex>,
    limits: &Limits,
) -> Result<ResolvedRequest, ApiError> {
    check_length("history", &request.history, limits.ids)?;
    check_length("exclude", &request.exclude, limits.ids)?;
    let k = request.k.unwrap_or(limits.default_candidates);
    if !(1..=limits.max_candidates).contains(&k) {
        return Err(ApiError::InvalidField {
            field: "k".to_owned(),
            detail: format!(
                "expected a whole number from 1 to {}, found {k}",
                limits.max_candidates
            ),
        });
    }

    let mut ignored = Ignored::default();
    let mut seen = HashSet::with_capacity(request.history.len());
    let mut history = Vec::with_capacity(request.history.len());
    for id in request.history.iter().rev() {
        match position(id) {
            None => ignored.unknown += 1,
            Some(item) if seen.insert(item) => history.push(item),
            Some(_) => ignored.duplicate += 1,
        }
    }
    history.reverse();

    let mut exclude = Vec::with_capacity(request.exclude.len());
    for id in &request.exclude {
        match position(id) {
            None => ignored.unknown += 1,
            Some(item) => {
                // The generator excludes the history anyway.
                if seen.insert(item) {
                    exclude.push(item);
                }
            }
        }
    }
    let job = Job { history, exclude, only: None, added: None, k, explain: request.explain };
    Ok(ResolvedRequest { job, ignored })
}

/// The positions of the known ids, in order, and the number of unknown ids.
///
/// # Errors
/// [`ApiError::InvalidField`] if `field` has more than `most` ids.
pub(crate) fn resolve_ids(
    field: &str,
    ids: &[ItemId],
    position: impl Fn(&ItemId) -> Option<ItemIndex>,
    most: usize,
) -> Result<(Vec<ItemIndex>, usize), ApiError> {
    check_length(field, ids, most)?;
    let known: Vec<_> = ids.iter().filter_map(position).collect();
    let unknown = ids.len() - known.len();
    Ok((known, unknown))
}

fn check_length(field: &str, ids: &[ItemId], max: usize) -> Result<(), ApiError> {
    if ids.len() <= max {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        field: field.to_owned(),
        detail: format!("expected at most {max} ids, found {}", ids.len()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tandem_dataset::{Catalogue, Item};

    use super::*;

    /// Items with the ids `0` to `n - 1`, at the positions of their ids.
    fn catalogue(n: u32) -> Catalogue {
        let item = |number: u32| Item {
            title: format!("Film {number}"),
            ..Item::untitled(ItemId::new(number.to_string()))
        };
        Catalogue::new((0..n).map(item).collect()).unwrap()
    }

    fn ids(names: &[&str]) -> Vec<ItemId> {
        names.iter().map(|name| ItemId::from(*name)).collect()
    }

    fn resolve(history: &[&str], exclude: &[&str]) -> ResolvedRequest {
        let request = CandidatesRequest {
            history: ids(history),
            exclude: ids(exclude),
            ..CandidatesRequest::default()
        };
        let catalogue = catalogue(10);
        resolve_request(&request, |id| catalogue.index_of(id), &Limits::default()).unwrap()
    }

    #[test]
    fn the_newest_occurrence_of_an_item_is_kept() {
        let resolved = resolve(&["3", "1", "3", "2", "1"], &[]);
        assert_eq!(resolved.job.history, [ItemIndex(3), ItemIndex(2), ItemIndex(1)]);
        assert_eq!(resolved.ignored, Ignored { unknown: 0, duplicate: 2, truncated: 0 });
    }

    #[test]
    fn unknown_ids_of_history_and_exclusions_are_counted() {
        let resolved = resolve(&["x", "1", "x"], &["y", "2", "1", "2"]);
        assert_eq!(resolved.job.history, [ItemIndex(1)]);
        assert_eq!(resolved.job.exclude, [ItemIndex(2)]);
        assert_eq!(resolved.ignored, Ignored { unknown: 3, duplicate: 0, truncated: 0 });
    }

    #[test]
    fn an_exceeded_limit_is_reported_with_its_field() {
        let limits = Limits { ids: 2, ..Limits::default() };
        let field = |request: CandidatesRequest| match resolve_request(&request, |_| None, &limits)
        {
            Err(ApiError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        let three = ids(&["0", "1", "2"]);
        assert_eq!(
            field(CandidatesRequest { history: three.clone(), ..Default::default() }),
            "history"
        );
        assert_eq!(field(CandidatesRequest { exclude: three, ..Default::default() }), "exclude");
        assert_eq!(field(CandidatesRequest { k: Some(0), ..Default::default() }), "k");
        assert_eq!(field(CandidatesRequest { k: Some(201), ..Default::default() }), "k");
    }

    proptest! {
        #[test]
        fn every_id_of_a_history_is_used_or_counted(names in prop::collection::vec(0u32..20, 0..60)) {
            let history: Vec<_> = names.iter().map(|n| ItemId::new(n.to_string())).collect();
            let request = CandidatesRequest { history, ..CandidatesRequest::default() };
            let catalogue = catalogue(10);
            let resolved = resolve_request(&request, |id| catalogue.index_of(id), &Limits::default()).unwrap();
            let used = &resolved.job.history;
            let ignored = resolved.ignored;
            prop_assert_eq!(used.len() + ignored.unknown + ignored.duplicate, names.len());
            let distinct: HashSet<_> = used.iter().collect();
            prop_assert_eq!(distinct.len(), used.len());
            // The newest known id is still the last item.
            let newest = names.iter().rev().find(|name| **name < 10).map(|name| ItemIndex(*name));
            prop_assert_eq!(used.last().copied(), newest);
        }
    }
}
