//! Which column of a file is what.

use std::{collections::HashSet, path::Path};

use serde::{Deserialize, Serialize};

use super::names::{CATALOGUE_ITEM, CATALOGUE_ITEM_OPTION, Role, Tiers};
use crate::{DatasetError, readers::Rows};

/// The columns of one role: usually one. Of several, each row has at most one value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Selected {
    pub(super) columns: Vec<usize>,
    /// Whether the user has named it.
    pub(super) named: bool,
    /// Columns that could be it as well, but come second.
    pub(super) passed_over: Vec<usize>,
}

impl Selected {
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }
}

/// Names of lists of items in an event.
pub(super) const LISTS: [&str; 4] = ["items", "products", "contents", "lineitems"];

/// Finds columns in one file.
pub(super) struct Finder<'a> {
    pub(super) path: &'a Path,
    pub(super) rows: &'a dyn Rows,
    /// Whether the file is a catalogue.
    pub(super) catalogue: bool,
}

impl Finder<'_> {
    /// The column of a role: the one that is named, else one that is recognised by its name.
    ///
    /// # Errors
    /// [`DatasetError::Input`] if the named column is not there, or if two columns are equally
    /// plausible.
    pub(super) fn find(&self, role: Role, named: Option<&str>) -> Result<Selected, DatasetError> {
        let names = self.rows.columns();
        if let Some(named) = named {
            let same = |how: fn(&str, &str) -> bool| {
                (0..names.len()).filter(|&at| how(&names[at], named)).collect::<Vec<_>>()
            };
            let equal = same(|name, wanted| bare(name) == wanted);
            let columns = if equal.is_empty() {
                same(|name, wanted| tokens(name).concat() == tokens(wanted).concat())
            } else {
                equal
            };
            return match columns.len() {
                0 => Err(self.input(format!(
                    "has no column {named:?} ({}); its columns are {}",
                    self.option(role),
                    self.list()
                ))),
                1 => Ok(Selected { columns, named: true, passed_over: Vec::new() }),
                _ => Err(self.input(format!("has {} columns {named:?}", columns.len()))),
            };
        }
        let mut selected = Selected::default();
        for columns in self.tiers(role) {
            if !selected.columns.is_empty() {
                selected.passed_over.extend(columns);
                continue;
            }
            selected.columns = self.resolve(role, columns, &mut selected.passed_over)?;
        }
        // Only second choices among the exact names are worth telling.
        let whole = |at: usize| tokens(&names[at]).concat();
        selected
            .passed_over
            .retain(|&at| role.exact().iter().any(|tier| tier.contains(&whole(at).as_str())));
        Ok(selected)
    }

    /// The columns that can have a role by their names, the best names first. No column is in two
    /// tiers.
    fn tiers(&self, role: Role) -> Vec<Vec<usize>> {
        let names = self.rows.columns();
        let split: Vec<Vec<String>> = names.iter().map(|name| tokens(name)).collect();
        let whole: Vec<String> = split.iter().map(|tokens| tokens.concat()).collect();
        let further: Tiers =
            if self.catalogue && role == Role::Item { CATALOGUE_ITEM } else { &[] };
        let exact = role.exact().iter().chain(further).map(|tier| {
            (0..names.len()).filter(|&at| tier.contains(&whole[at].as_str())).collect::<Vec<_>>()
        });
        let suffixed = role.suffixes().iter().map(|tier| {
            (0..names.len())
                .filter(|&at| {
                    (1..split[at].len())
                        .any(|from| tier.contains(&split[at][from..].concat().as_str()))
                })
                .collect()
        });
        let mut known = HashSet::new();
        let mut tiers = Vec::new();
        for mut columns in exact.chain(suffixed) {
            columns.retain(|at| known.insert(*at));
            if !columns.is_empty() {
                tiers.push(columns);
            }
        }
        tiers
    }

    /// All choices for a role, the best names first: the columns of a tier together where each row
    /// has one of them, else each alone. With the number of the tier.
    pub(super) fn candidates(&self, role: Role) -> Vec<(Vec<usize>, usize)> {
        let mut candidates = Vec::new();
        for (tier, columns) in self.tiers(role).into_iter().enumerate() {
            if self.contradiction(&columns).is_some() {
                candidates.extend(columns.into_iter().map(|column| (vec![column], tier)));
            } else {
                candidates.push((columns, tier));
            }
        }
        candidates
    }

    /// Two of these columns that have values in one row.
    fn contradiction(&self, columns: &[usize]) -> Option<(usize, usize)> {
        columns.iter().enumerate().find_map(|(at, &left)| {
            let right = columns[at + 1..].iter().find(|&&it| self.rows.occur_together(left, it));
            right.map(|&right| (left, right))
        })
    }

    fn option(&self, role: Role) -> &'static str {
        if self.catalogue && role == Role::Item { CATALOGUE_ITEM_OPTION } else { role.option() }
    }

    /// As [`Finder::find`], for a role that must be there.
    pub(super) fn require(
        &self,
        role: Role,
        named: Option<&str>,
    ) -> Result<Selected, DatasetError> {
        let selected = self.find(role, named)?;
        if selected.is_empty() {
            let nested = self.rows.columns().iter().find(|name| {
                let words = tokens(name);
                let last = words.last().map(String::as_str);
                role == Role::Item && !self.catalogue && last.is_some_and(|it| LISTS.contains(&it))
            });
            if let Some(nested) = nested {
                return Err(self.input(format!(
                    "has no column that is known to be the item. Its column {nested} may be a list \
                     of items: lists of objects with an item_id are read in JSON files; else write \
                     one row for each element, with its id in a column item_id (UNNEST in SQL, \
                     explode in a data frame). If it is no list, name the column with {}",
                    self.option(role)
                )));
            }
            return Err(self.input(format!(
                "has no column that is known to be {}; its columns are {}. Name the column with \
                 {} (if the file has no header line, add --no-header and give the column's number)",
                role.noun(),
                self.list(),
                self.option(role)
            )));
        }
        Ok(selected)
    }

    /// Decides between columns of one tier.
    fn resolve(
        &self,
        role: Role,
        columns: Vec<usize>,
        passed_over: &mut Vec<usize>,
    ) -> Result<Vec<usize>, DatasetError> {
        let Some((left, right)) = self.contradiction(&columns) else { return Ok(columns) };
        if role.first_wins() {
            passed_over.extend(&columns[1..]);
            return Ok(columns[..1].to_vec());
        }
        let names = self.rows.columns();
        Err(self.input(format!(
            "has two columns that can be {}, {} and {}; choose one with {}",
            role.noun(),
            names[left],
            names[right],
            role.option()
        )))
    }

    fn list(&self) -> String {
        /// A file can have thousands of fields.
        const SHOWN: usize = 30;
        let names = self.rows.columns();
        let more = if names.len() > SHOWN { ", …" } else { "" };
        format!("{}{more}", names[..names.len().min(SHOWN)].join(", "))
    }

    fn input(&self, problem: String) -> DatasetError {
        DatasetError::input(self.path, problem)
    }
}

/// A name without the type of `RecBole`'s atomic files.
pub(super) fn bare(name: &str) -> &str {
    name.split_once(':').map_or(name, |(bare, _)| bare).trim()
}

/// The words of a name in lower case: `userId`, `user_id` and `USER ID` are `user`, `id`.
pub(super) fn tokens(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let letters: Vec<char> = bare(name).chars().collect();
    for (at, &letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        // `userId` and the last capital of `HTMLTitle`.
        let begins = letter.is_uppercase()
            && (before.is_some_and(|it| it.is_lowercase() || it.is_numeric())
                || before.is_some_and(char::is_uppercase)
                    && after.is_some_and(|it| it.is_lowercase()));
        if (begins || !letter.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if letter.is_alphanumeric() {
            word.extend(letter.to_lowercase());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readers::{Cell, Step};

    /// A file with these columns and no rows.
    struct Header(Vec<String>);

    impl Rows for Header {
        fn columns(&self) -> &[String] {
            &self.0
        }

        fn advance(&mut self) -> Result<Step, DatasetError> {
            Ok(Step::End)
        }

        fn cell(&self, _column: usize) -> Cell<'_> {
            Cell::Absent
        }

        fn line(&self) -> u64 {
            1
        }
    }

    fn found(role: Role, catalogue: bool, header: &str) -> Result<String, String> {
        let rows = Header(header.split(',').map(str::to_owned).collect());
        let finder = Finder { path: Path::new("f"), rows: &rows, catalogue };
        let selected = finder.find(role, None).map_err(|error| error.to_string())?;
        let names = |columns: &[usize]| {
            columns.iter().map(|&at| rows.0[at].clone()).collect::<Vec<_>>().join(" ")
        };
        let second = names(&selected.passed_over);
        let first = names(&selected.columns);
        Ok(if second.is_empty() { first } else { format!("{first}, not {second}") })
    }

    #[track_caller]
    fn check(role: Role, header: &str, expected: &str) {
        assert_eq!(found(role, false, header).as_deref(), Ok(expected), "{header}");
    }

    #[test]
    fn names_are_split_into_words() {
        for (name, expected) in [
            ("userId", "user id"),
            ("USER_ID", "user id"),
            ("UserID", "user id"),
            ("user.id", "user id"),
            ("user_id:token", "user id"),
            ("HTMLTitle", "html title"),
            ("visitorid", "visitorid"),
            ("Größe 2", "größe 2"),
            ("", ""),
        ] {
            assert_eq!(tokens(name).join(" "), expected);
        }
    }

    #[test]
    fn columns_of_public_datasets_are_known() {
        // Header; user, item, time.
        for (header, user, item, time) in [
            ("userId,movieId,rating,timestamp", "userId", "movieId", "timestamp"),
            ("timestamp,visitorid,event,itemid,transactionid", "visitorid", "itemid", "timestamp"),
            (
                "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session",
                "user_id, not user_session",
                "product_id",
                "event_time",
            ),
            (
                "reviewerID,asin,reviewerName,overall,unixReviewTime,reviewTime",
                "reviewerID, not reviewerName",
                "asin",
                "unixReviewTime, not reviewTime",
            ),
            (
                "t_dat,customer_id,article_id,price,sales_channel_id",
                "customer_id",
                "article_id",
                "t_dat",
            ),
            (
                "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
                "CustomerID",
                "StockCode",
                "InvoiceDate",
            ),
            ("feedback_type,user_id,item_id,time_stamp", "user_id", "item_id", "time_stamp"),
            ("favori,UserId,ItemId,Timestamp", "UserId", "ItemId", "Timestamp"),
            (
                "session_id,click_article_id,click_timestamp",
                "session_id",
                "click_article_id",
                "click_timestamp",
            ),
            ("user_id,business_id,stars,date", "user_id", "business_id", "date"),
            (
                "id,user_id,product_id,created_at,updated_at",
                "user_id",
                "product_id",
                "created_at, not updated_at",
            ),
            (
                "anonymousId,properties.product_id,originalTimestamp,event",
                "anonymousId",
                "properties.product_id",
                "originalTimestamp",
            ),
            (
                "user_pseudo_id,event_timestamp,event_name,item_id",
                "user_pseudo_id",
                "item_id",
                "event_timestamp",
            ),
            ("fk_user_id,shop_item_id,logged_at", "fk_user_id", "shop_item_id", "logged_at"),
            ("user.id,item.id,context.time", "user.id", "item.id", "context.time"),
            ("user_id,anonymous_id,sku,ts", "user_id, not anonymous_id", "sku", "ts"),
            ("household_key,PRODUCT_ID,DAY", "household_key", "PRODUCT_ID", "DAY"),
            ("who,when,what,user,item", "user", "item", "when"),
        ] {
            check(Role::User, header, user);
            check(Role::Item, header, item);
            check(Role::Time, header, time);
        }
        check(Role::Time, "when,created_at", "created_at, not when");
        check(Role::Event, "type,event_type", "event_type, not type");
        check(Role::Event, "user,item,when,kind", "kind");
        check(Role::Rating, "overall,rating", "rating, not overall");
    }

    #[test]
    fn a_row_has_an_id_of_its_own() {
        check(Role::Item, "id,user,time", "");
        assert_eq!(found(Role::Item, true, "id,title,price").as_deref(), Ok("id"));
        assert_eq!(found(Role::Item, true, "id,product_id,title").as_deref(), Ok("product_id"));
        check(Role::User, "is_new_user,item", "");
    }

    #[test]
    fn contradictions_are_refused_and_the_option_is_named() {
        for (role, header, option) in [
            (
                Role::Item,
                "user_id,product_id,item_id",
                "product_id and item_id; choose one with --item-column",
            ),
            (
                Role::User,
                "user_id,customer_id,item",
                "user_id and customer_id; choose one with --user-column",
            ),
            (
                Role::Time,
                "timestamp,event_time",
                "timestamp and event_time; choose one with --time-column",
            ),
            (Role::Item, "user,user.item_id,shop.item_id", "--item-column"),
        ] {
            let message = found(role, false, header).unwrap_err();
            assert!(message.contains(option), "{message}");
        }
    }
}
