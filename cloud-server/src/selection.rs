use std::collections::HashSet;

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_protocol::{CandidatesRequest, Ignored, ItemId};

use crate::{ApiError, Job, Limits};

/// A request for candidates in the catalogue's terms.
#[derive(Debug)]
pub(crate) struct Selection {
    /// What the generator is asked.
    pub(crate) job: Job,
    /// What was left out on the way; `truncated` is the generator's to fill.
    pub(crate) ignored: Ignored,
}

/// Turns external ids into positions, keeping the latest occurrence of each known item.
///
/// The whole known history goes on to the generator, which reads the newest part of it
/// and keeps all of it out of the candidates.
pub(crate) fn select(
    request: &CandidatesRequest,
    catalogue: &Catalogue,
    limits: &Limits,
) -> Result<Selection, ApiError> {
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
        match catalogue.index_of(id) {
            None => ignored.unknown += 1,
            Some(item) if seen.insert(item) => history.push(item),
            Some(_) => ignored.duplicate += 1,
        }
    }
    history.reverse();

    let mut exclude = Vec::with_capacity(request.exclude.len());
    for id in &request.exclude {
        match catalogue.index_of(id) {
            None => ignored.unknown += 1,
            Some(item) => {
                // What is in the history is kept out anyway.
                if seen.insert(item) {
                    exclude.push(item);
                }
            }
        }
    }
    Ok(Selection { job: Job { history, exclude, k }, ignored })
}

/// Positions of the known ids, in the order asked for, and how many are unknown.
pub(crate) fn known(
    ids: &[ItemId],
    catalogue: &Catalogue,
    limits: &Limits,
) -> Result<(Vec<ItemIndex>, usize), ApiError> {
    check_length("items", ids, limits.ids)?;
    let known: Vec<_> = ids.iter().filter_map(|id| catalogue.index_of(id)).collect();
    let unknown = ids.len() - known.len();
    Ok((known, unknown))
}

fn check_length(field: &str, ids: &[ItemId], most: usize) -> Result<(), ApiError> {
    if ids.len() <= most {
        return Ok(());
    }
    Err(ApiError::InvalidField {
        field: field.to_owned(),
        detail: format!("expected at most {most} ids, found {}", ids.len()),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tandem_dataset::Item;

    use super::*;

    /// Items `0`, `1`, … `n - 1`, at the position of their name.
    fn catalogue(n: u32) -> Catalogue {
        let item = |number: u32| Item {
            id: ItemId::new(number.to_string()),
            title: format!("Film {number}"),
            year: None,
            genres: Vec::new(),
            count: 0,
        };
        Catalogue::new((0..n).map(item).collect()).unwrap()
    }

    fn ids(names: &[&str]) -> Vec<ItemId> {
        names.iter().map(|name| ItemId::from(*name)).collect()
    }

    fn selected(history: &[&str], exclude: &[&str]) -> Selection {
        let request = CandidatesRequest {
            history: ids(history),
            exclude: ids(exclude),
            ..CandidatesRequest::default()
        };
        select(&request, &catalogue(10), &Limits::default()).unwrap()
    }

    #[test]
    fn the_latest_occurrence_is_kept() {
        let selection = selected(&["3", "1", "3", "2", "1"], &[]);
        assert_eq!(selection.job.history, [ItemIndex(3), ItemIndex(2), ItemIndex(1)]);
        assert_eq!(selection.ignored, Ignored { unknown: 0, duplicate: 2, truncated: 0 });
    }

    #[test]
    fn strangers_are_counted_wherever_they_are() {
        let selection = selected(&["x", "1", "x"], &["y", "2", "1", "2"]);
        assert_eq!(selection.job.history, [ItemIndex(1)]);
        assert_eq!(selection.job.exclude, [ItemIndex(2)]);
        assert_eq!(selection.ignored, Ignored { unknown: 3, duplicate: 0, truncated: 0 });
    }

    #[test]
    fn limits_name_the_field() {
        let limits = Limits { ids: 2, ..Limits::default() };
        let field = |request: CandidatesRequest| match select(&request, &catalogue(3), &limits) {
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
            let selection = select(&request, &catalogue(10), &Limits::default()).unwrap();
            let used = &selection.job.history;
            let ignored = selection.ignored;
            prop_assert_eq!(used.len() + ignored.unknown + ignored.duplicate, names.len());
            let distinct: HashSet<_> = used.iter().collect();
            prop_assert_eq!(distinct.len(), used.len());
            // The newest known id stays the newest.
            let newest = names.iter().rev().find(|name| **name < 10).map(|name| ItemIndex(*name));
            prop_assert_eq!(used.last().copied(), newest);
        }
    }
}
