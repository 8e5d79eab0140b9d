//! Accepted column names.

pub(super) const USER: &[&str] = &["user", "user_id", "userid"];
pub(super) const ITEM: &[&str] = &["item", "item_id", "itemid", "id"];
pub(super) const TIME: &[&str] = &["timestamp", "time", "unix_time"];
pub(super) const TITLE: &[&str] = &["title", "movie_title", "item_title", "name", "item_name"];
pub(super) const YEAR: &[&str] = &["year", "release_year"];
pub(super) const GENRES: &[&str] = &["genres", "genre", "class", "categories", "category"];
