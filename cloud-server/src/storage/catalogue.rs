//! The catalogue of a release, copied into the database.

use tandem_dataset::{Catalogue, Item, ItemIndex, files::Sha256Hex};
use tandem_storage::{NewItem, Storage, StorageError};

use crate::live_items::LiveItems;

/// Number of items that are written in one transaction.
const BATCH: usize = 5_000;
/// Maximum length of a description that is copied, in bytes.
const MAX_DESCRIPTION: usize = 20_000;

/// Copies the items of a catalogue into the database: those that it does not have, and never had,
/// and the texts of those that came from another catalogue. What the shop stored stays as it is, also
/// what it deleted.
///
/// Reads the changes of the database before and after. Returns the number of items that were added
/// or changed.
///
/// # Errors
/// See [`StorageError`]. The batches before are kept.
pub(crate) async fn copy_catalogue(
    items: &LiveItems,
    storage: &Storage,
    catalogue: &Catalogue,
) -> Result<u64, StorageError> {
    items.refresh(storage).await?;
    let mark = mark(catalogue);
    let is_another = storage.copied_catalogue().await? != mark;
    let missing =
        if is_another { catalogue.indices().collect() } else { items.not_stored(catalogue) };
    let (mut copied, mut refused) = (0, 0);
    for batch in missing.chunks(BATCH) {
        let new: Vec<NewItem> =
            batch.iter().filter_map(|item| new_item(catalogue, *item)).collect();
        refused += batch.len() - new.len();
        copied += storage.copy_items(new).await?;
    }
    if is_another {
        storage.set_copied_catalogue(mark).await?;
    }
    if refused > 0 {
        tracing::warn!(
            refused,
            "items of the catalogue have ids or texts that the database does not store"
        );
    }
    if copied > 0 {
        tracing::info!(copied, "copied items of the catalogue into the database");
        items.refresh(storage).await?;
    }
    Ok(copied)
}

/// A number that tells ids and texts of a catalogue from those of others.
fn mark(catalogue: &Catalogue) -> i64 {
    let mut hash = Sha256Hex::default();
    for index in catalogue.indices() {
        let Item { id, title, year, genres, brand, description, .. } = catalogue.get(index);
        let fields = (id.as_str(), title, year, genres, brand, description);
        // Plain data: this does not fail.
        hash.update(serde_json::to_string(&fields).unwrap_or_default());
    }
    let hash = hash.finish();
    // 0 is no catalogue.
    u64::from_str_radix(&hash[..16], 16).unwrap_or_default().max(1).cast_signed()
}

/// The item as it is stored; `None` if it cannot be.
fn new_item(catalogue: &Catalogue, item: ItemIndex) -> Option<NewItem> {
    let Item { id, title, year, genres, brand, description, .. } = catalogue.get(item);
    let end = description.floor_char_boundary(MAX_DESCRIPTION);
    let new = NewItem {
        title: title.clone(),
        categories: genres.clone(),
        brand: brand.clone(),
        description: description[..end].to_owned(),
        year: year.map(i64::from),
        ..NewItem::new(id.clone())
    };
    new.check().is_ok().then_some(new)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_storage::{ItemQuery, Location};

    use super::*;

    #[test]
    fn what_the_shop_stored_or_deleted_stays_and_the_rest_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Storage::open(&Location::Sqlite(folder.path().join("shop.db"))).unwrap();
        let item = |id: &str| Item {
            title: format!("Item {id}"),
            genres: vec!["Shoes".to_owned()],
            year: Some(1999),
            ..Item::untitled(id.into())
        };
        let long = Item { description: "ä".repeat(20_000), ..item("long") };
        let no_id = item(&"x".repeat(300));
        let catalogue = Catalogue::new(vec![item("a"), item("b"), item("c"), long, no_id]).unwrap();
        let catalogue = Arc::new(catalogue);
        let items = LiveItems::new(&catalogue);
        let own = NewItem { title: "Own".to_owned(), ..NewItem::new("b".into()) };
        storage.block_on(async {
            storage.upsert_items(vec![own, NewItem::new("c".into())]).await.unwrap();
            storage.delete_items(&["c".into()]).await.unwrap();
            assert_eq!(copy_catalogue(&items, &storage, &catalogue).await.unwrap(), 2);
            assert_eq!(copy_catalogue(&items, &storage, &catalogue).await.unwrap(), 0);
            let query = ItemQuery { limit: 10, ..ItemQuery::default() };
            let stored = storage.find_items(query).await.unwrap();
            let titles: Vec<_> = stored.iter().map(|it| (it.id.as_str(), &*it.title)).collect();
            assert_eq!(titles, [("a", "Item a"), ("b", "Own"), ("long", "Item long")]);
            assert_eq!(
                (stored[0].year, &*stored[0].categories),
                (Some(1999), &["Shoes".into()][..])
            );
            assert_eq!(stored[2].description.len(), MAX_DESCRIPTION);
            // A later release has other texts. The shop has sent `b`, and now `a` as it is.
            let corrected = |id: &str| Item { title: "Corrected".to_owned(), ..item(id) };
            let next = ["a", "b", "c", "long"].map(corrected);
            let next = Catalogue::new(next.to_vec()).unwrap();
            let NewItem { title, categories, year, .. } =
                new_item(&catalogue, ItemIndex(0)).unwrap();
            let own = NewItem { title, categories, year, ..NewItem::new("a".into()) };
            assert_eq!(storage.upsert_items(vec![own]).await.unwrap().unchanged, 1);
            assert_eq!(copy_catalogue(&items, &storage, &next).await.unwrap(), 1);
            assert_eq!(copy_catalogue(&items, &storage, &next).await.unwrap(), 0);
            let query = ItemQuery { limit: 10, ..ItemQuery::default() };
            let stored = storage.find_items(query).await.unwrap();
            let titles: Vec<_> = stored.iter().map(|it| (it.id.as_str(), &*it.title)).collect();
            assert_eq!(titles, [("a", "Item a"), ("b", "Own"), ("long", "Corrected")]);
        });
        // Deleted items are hidden; the one that cannot be stored is known from the catalogue.
        let filter = tandem_protocol::ItemFilter {
            categories: vec!["Shoes".to_owned()],
            ..Default::default()
        };
        let matching: Vec<u32> = items.matching(&catalogue, &filter).0.iter().collect();
        assert_eq!(matching, [0, 3, 4]);
    }
}
