//! Explanations, similar items, and a list of the page's own.

use futures_lite::future::block_on;
use tandem_protocol::ItemId;
use tandem_session::Session;

use crate::support::{ITEMS, give_all, id, row, session_on, session_with_list, track};

#[test]
fn an_explanation_measures_contributions_of_the_history() {
    let mut session = session_with_list();
    track(&mut session, 1);
    track(&mut session, 2);
    track(&mut session, 1);
    let ranked = block_on(session.rank()).unwrap();
    let first = &ranked.items[0];
    let explained = block_on(session.explain(&first.item)).unwrap().unwrap();
    assert_eq!((&explained.item, explained.rank, explained.of), (first, 0, ITEMS - 2));
    let mut causes: Vec<_> =
        explained.contributions.iter().map(|found| found.item.clone()).collect();
    causes.sort();
    assert_eq!(causes, [id(1), id(2)]);
    assert!(explained.contributions[0].logit.abs() >= explained.contributions[1].logit.abs());

    // The contribution of item 2 by hand: the list after 1, 2, 1 against the list after 1, 1.
    let above_mean = |session: &Session| {
        let ranked = block_on(session.rank()).unwrap();
        let of = |name: &ItemId| {
            let found = ranked.items.iter().find(|ranked| ranked.item == *name);
            found.unwrap().srm_score.unwrap()
        };
        let others = ranked.items.iter().filter(|ranked| ranked.item != id(2));
        let scores: Vec<f32> = others.map(|ranked| ranked.srm_score.unwrap()).collect();
        of(&first.item) - scores.iter().sum::<f32>() / scores.len() as f32
    };
    let mut other = session_on("base");
    give_all(&mut other, "tiny", false);
    track(&mut other, 1);
    track(&mut other, 1);
    let expected = above_mean(&session) - above_mean(&other);
    let found = explained.contributions.iter().find(|one| one.item == id(2)).unwrap().logit;
    assert!((found - expected).abs() < 1e-4, "{found} and {expected}");

    assert_eq!(block_on(session.explain(&id(1))).unwrap(), None);
    assert_eq!(block_on(session.explain(&ItemId::from("unheard of"))).unwrap(), None);
}

#[test]
fn without_a_history_an_explanation_is_the_language_models_rank() {
    let explained = block_on(session_with_list().explain(&id(3))).unwrap().unwrap();
    assert_eq!(
        (explained.rank, explained.item.llm_rank, explained.contributions.len()),
        (3, Some(3), 0)
    );
}

#[test]
fn similar_items_are_those_of_the_nearest_rows() {
    let session = session_with_list();
    let cosine = |a: &[f32], b: &[f32]| {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let mut expected: Vec<usize> = (0..ITEMS).filter(|&number| number != 5).collect();
    expected.sort_by(|&a, &b| cosine(&row(5), &row(b)).total_cmp(&cosine(&row(5), &row(a))));
    let found = session.similar(&id(5), 3).unwrap();
    assert_eq!(found.len(), 3);
    for (similar, number) in found.iter().zip(expected) {
        // Rows are held in 8 bits.
        assert!((similar.similarity - cosine(&row(5), &row(number))).abs() < 0.02);
    }
    assert!(found[0].similarity >= found[1].similarity);
    assert_eq!(session.similar(&ItemId::from("unheard of"), 3), None);
}

#[test]
fn a_list_of_the_pages_own_is_compared_with_the_small_models_order() {
    let mut session = session_on("base");
    let own: Vec<ItemId> = (0..10).map(id).collect();
    assert_eq!(block_on(session.compare(&own)).unwrap(), None, "no history");
    track(&mut session, 20);
    let apart = block_on(session.compare(&own)).unwrap().unwrap();
    assert!(apart > 0.0 && apart <= 1.0);

    // The small model's own order agrees with itself, whatever is unknown or repeated.
    give_all(&mut session, "tiny", false);
    let mut ranked = block_on(session.rank()).unwrap().items;
    ranked.sort_by_key(|ranked| ranked.srm_rank);
    let mut order: Vec<ItemId> = ranked.into_iter().map(|ranked| ranked.item).collect();
    order.insert(1, ItemId::from("unheard of"));
    order.push(order[0].clone());
    assert_eq!(block_on(session.compare(&order)).unwrap(), Some(0.0));
    assert_eq!(block_on(session.compare(&order[..2])).unwrap(), None, "one is left");
}
