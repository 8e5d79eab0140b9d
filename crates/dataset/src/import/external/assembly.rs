use std::path::Path;

use super::{key::RowKey, prepare::PreparedLog};
use crate::{
    DatasetError, Summary,
    folder::{DatasetDraft, SequenceFile},
    import::{
        Repeats, Totals, assemble, bad_rows_file,
        checks::UserRows,
        finish,
        log::Row,
        repeated_targets::RepeatedTargets,
        sequence_rules::{Removed, RowRules},
    },
};

/// Sorted rows that become a dataset folder, one user after the other.
pub struct Assembly {
    log: PreparedLog,
    draft: DatasetDraft,
    /// The sequences with repeats, unless these are dropped.
    kept: Option<SequenceFile>,
    /// The sequences without repeats, unless these are kept. With [`Repeats::Auto`] both files are
    /// written, and the last user decides.
    dropped: Option<SequenceFile>,
    removed: Removed,
    targets: RepeatedTargets,
    user_rows: UserRows,
    /// The user of `rows`, as in its keys.
    user: Vec<u8>,
    rows: Vec<Row>,
    kinds: Kinds,
}

/// Kinds of the columns that name one user.
#[derive(Clone, Copy)]
struct Kinds {
    lowest: u8,
    /// The highest kind that fills rows whose own user is empty.
    filling: Option<u8>,
}

impl Kinds {
    const NONE: Self = Self { lowest: u8::MAX, filling: None };

    fn add(&mut self, key: &RowKey) {
        self.lowest = self.lowest.min(key.kind);
        if key.marks.filled {
            self.filling = self.filling.max(Some(key.kind));
        }
    }

    /// Whether a visitor has the name of a user. Such a visitor has another name in the dataset,
    /// and so another place.
    fn are_two_users(self) -> bool {
        self.filling.is_some_and(|kind| kind > self.lowest)
    }
}

impl Assembly {
    /// Begins to write the dataset folder `dir`. It appears when it is complete.
    ///
    /// # Errors
    /// [`DatasetError::Io`], and [`DatasetError::NotReplaceable`] if `dir` contains something else
    /// than a dataset.
    pub fn new(log: PreparedLog, dir: &Path) -> Result<Self, DatasetError> {
        let draft = DatasetDraft::new(dir)?;
        let (keep, drop) = match log.options.repeats {
            Repeats::Keep => (true, false),
            Repeats::Drop => (false, true),
            Repeats::Auto => (true, true),
        };
        let file = |wanted: bool, name| {
            wanted.then(|| draft.sequences(name, log.catalogue.len())).transpose()
        };
        let (kept, dropped) = (file(keep, "with-repeats")?, file(drop, "without-repeats")?);
        Ok(Self {
            log,
            draft,
            kept,
            dropped,
            removed: Removed::default(),
            targets: RepeatedTargets::default(),
            user_rows: UserRows::default(),
            user: Vec::new(),
            rows: Vec::new(),
            kinds: Kinds::NONE,
        })
    }

    /// Takes the next key in the order of bytes.
    ///
    /// # Errors
    /// [`DatasetError::Transfer`] for a key that is damaged or out of order,
    /// [`DatasetError::OnlyInMemory`] if a visitor has the name of a user, and
    /// [`DatasetError::Io`] if the folder cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), DatasetError> {
        let damaged = |found: &str| DatasetError::Transfer {
            expected: "keys of rows in their order",
            found: found.to_owned(),
        };
        let (user, item, key) =
            RowKey::read(bytes, self.log.timed).ok_or_else(|| damaged("bytes that are no key"))?;
        if user != self.user {
            if user < self.user.as_slice() {
                return Err(damaged("a user before the last one"));
            }
            self.end_user()?;
            self.user.clear();
            self.user.extend(user);
        }
        self.kinds.add(&key);
        if !key.marks.dropped {
            let index = self.log.catalogue.position(&item);
            let index = index.ok_or_else(|| damaged("an item that is not in the catalogue"))?;
            self.rows.push(key.row(index.0));
        }
        Ok(())
    }

    /// Writes the sequence of the current user.
    fn end_user(&mut self) -> Result<(), DatasetError> {
        let kinds = std::mem::replace(&mut self.kinds, Kinds::NONE);
        if self.user.is_empty() {
            return Ok(());
        }
        let name = RowKey::user(&self.user).unwrap_or_default();
        if kinds.are_two_users() {
            let what = format!(
                "has a visitor or session {name}, which is also the name of a user; name the \
                 column with --user-column, or"
            );
            return Err(DatasetError::only_in_memory(&self.log.first_file, what));
        }
        if self.rows.is_empty() {
            return Ok(());
        }
        self.user_rows.add(&name, self.rows.len() as u64);
        let PreparedLog { facts, catalogue, timed, options, .. } = &self.log;
        let mut rules = RowRules::new(facts, catalogue, *timed, options, &mut self.removed);
        rules.apply(&name, &mut self.rows);
        self.targets.count(self.rows.iter().map(|row| row.item).collect());
        if let Some(file) = self.kept.as_mut().filter(|_| !self.rows.is_empty()) {
            file.write(&assemble::sequence(&name, &self.rows, *timed))?;
        }
        if let Some(file) = self.dropped.as_mut().filter(|_| !self.rows.is_empty()) {
            rules.remove_repeats(&name, &mut self.rows);
            file.write(&assemble::sequence(&name, &self.rows, *timed))?;
        }
        self.rows.clear();
        Ok(())
    }

    /// Completes the folder, now that all keys were taken.
    ///
    /// # Errors
    /// As [`import`](crate::import()) if no interaction is left, and [`DatasetError::Io`].
    pub fn finish(mut self) -> Result<Summary, DatasetError> {
        self.end_user()?;
        let Self { log, draft, kept, dropped, mut removed, targets, user_rows, .. } = self;
        let PreparedLog { options, mut facts, mut catalogue, catalogues, .. } = log;
        let repeats = options.repeats.decide(targets);
        let (chosen, other) = if repeats { (kept, dropped) } else { (dropped, kept) };
        let Some(chosen) = chosen else { unreachable!("the file of the decision is written") };
        if repeats {
            removed.forget_repeats();
        }
        removed.conclude(&mut facts, &options);
        facts.notes.splice(0..0, user_rows.warnings());
        let mut summary = Summary { first_rows: log.first_rows, ..Summary::default() };
        summary.repeated_targets = (targets.users, targets.repeated);
        let users = chosen.users();
        facts.complete(&mut summary, &log.first_file, users, &catalogue, &catalogues)?;
        let totals = Totals {
            name: options.name.clone(),
            users,
            interactions: chosen.interactions(),
            repeats,
            used: chosen.used().to_vec(),
        };
        finish(&mut summary, &totals, catalogues, &options);
        catalogue.set_counts(chosen.counts());
        if let Some(other) = other {
            other.remove()?;
        }
        let files = bad_rows_file(&summary);
        draft.publish(
            chosen,
            &options.name,
            options.notice.as_deref(),
            repeats,
            &catalogue,
            &files,
        )?;
        Ok(summary)
    }
}

impl std::fmt::Debug for Assembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly").field("log", &self.log).finish_non_exhaustive()
    }
}
