//! `tandem retrain`: a new release from new events, if it is not worse.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::values::{self, ADVANCED, BASIC, FILES};

/// Options of `tandem retrain`.
#[derive(Args, Debug)]
#[cfg_attr(not(feature = "llama"), allow(dead_code, reason = "it needs a language model"))]
pub(crate) struct Retrain {
    /// All interactions, old and new: files, or the folder of a server's --events log
    /// [default: those of the last run].
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = FILES)]
    events: Vec<PathBuf>,
    /// Catalogue [default: that of the last run].
    #[arg(long, value_name = "FILE", num_args = 1.., help_heading = FILES)]
    catalogue: Vec<PathBuf>,
    /// Embedding model (.gguf) for the texts of the items [default: that of the last run].
    #[arg(long, value_name = "GGUF", help_heading = FILES)]
    embedder: Option<PathBuf>,
    /// Folder of the recommender, written by `tandem quickstart`.
    #[arg(long, value_name = "FOLDER", default_value = "recommender", help_heading = FILES)]
    out: PathBuf,
    /// Minutes of training, for both models together [default: as for `tandem quickstart`].
    #[arg(long, value_parser = values::minutes, allow_negative_numbers = true)]
    #[arg(help_heading = BASIC)]
    minutes: Option<f64>,
    /// Repeat at this interval: a number with s, m, h or d, for example 24h.
    #[arg(long, value_name = "TIME", value_parser = values::interval, allow_hyphen_values = true)]
    #[arg(help_heading = BASIC)]
    every: Option<Duration>,
    /// Put the new release in use even if it ranks the newest interactions worse.
    #[arg(long, help_heading = ADVANCED)]
    force: bool,
}

#[cfg(not(feature = "llama"))]
pub(crate) fn run(_: &Retrain) -> anyhow::Result<()> {
    Err(crate::failure::no_language_model().into())
}

#[cfg(feature = "llama")]
pub(crate) use with_llama::run;

#[cfg(feature = "llama")]
mod with_llama {
    use std::{collections::HashSet, path::Path, thread, time::Instant};

    use anyhow::{Context, Result};
    use tandem_dataset::{Dataset, ItemIndex, Sequence};

    use super::Retrain;
    use crate::{
        candidate_lists,
        failure::{self, BadInput},
        lists::{self, Ranker},
        memory,
        pipeline::{
            self, Imported, Inputs, Job, LIST, Release, Trained, calibrated_model, mean_and_error,
            ndcg10, paired_differences, test_prefixes, thousands, together,
        },
        terminal::note,
    };

    pub(crate) fn run(args: &Retrain) -> Result<()> {
        let Some(interval) = args.every else { return once(args) };
        loop {
            let started = Instant::now();
            if let Err(error) = once(args) {
                // The release in use stays; the next run may find better input.
                note(format_args!("error: {}", failure::sentence(&error)));
            }
            thread::sleep(interval.saturating_sub(started.elapsed()));
        }
    }

    fn once(args: &Retrain) -> Result<()> {
        let out = &args.out;
        let current = Release::current(out)?.ok_or_else(|| {
            BadInput(format!(
                "{}: expected a recommender, found none; make it with `tandem quickstart --out {}`",
                out.display(),
                out.display()
            ))
        })?;
        let _lock = pipeline::claim(out)?;
        let job = Job {
            out,
            work: out.join("work/retrain"),
            inputs: &inputs(args)?,
            minutes: args.minutes,
            start: Some(&current),
        };
        let imported = pipeline::import(&job)?;
        if current.has_data(imported.data()) {
            print!("{}", imported.read());
            println!("release {}: no new events to learn from, nothing to do", current.name());
            return Ok(());
        }
        print!("{}", imported.read());
        check_users(&current, &imported, args.force)?;
        let mut trained = pipeline::train(&job, imported)?;
        let comparison = compare(&job, &current, &trained)?;
        println!("{comparison}");
        if comparison.is_worse() && !args.force {
            let text = format!(
                "release {} stays in use, because the new one ranks worse; train longer with --minutes, or use it all the same with --force",
                current.name()
            );
            return Err(BadInput(text).into());
        }
        pipeline::publish(&job, &mut trained)?;
        job.inputs.record(out)?;
        let Some(release) = Release::current(out)? else { return Ok(()) };
        println!("release {} is in use{}", release.name(), memory::peak());
        if let Err(error) = release.remove_older(out) {
            note(format_args!("warning: an old release could not be removed: {error}"));
        }
        Ok(())
    }

    /// Looks for the users of the release in use in the new data: without them, someone gave the new
    /// events alone, and what was learnt from the old ones would be lost.
    ///
    /// # Errors
    /// [`BadInput`] if fewer than a tenth is there, unless `force`.
    fn check_users(current: &Release, imported: &Imported, force: bool) -> Result<()> {
        let old = Dataset::load(&current.data())?;
        let new: HashSet<&str> = imported.users().collect();
        let found = old.sequences.iter().filter(|it| new.contains(it.user.as_str())).count();
        let all = old.sequences.len();
        if 2 * found >= all {
            return Ok(());
        }
        let text = format!(
            "{found} of the {} users of release {} are in these files; give all events with --events, old and new",
            thousands(all),
            current.name()
        );
        if 10 * found < all && !force {
            return Err(BadInput(format!("{text}, or use these alone with --force")).into());
        }
        note(format_args!("warning: {text}"));
        Ok(())
    }

    /// The inputs of the last run, with the given files where there are any.
    fn inputs(args: &Retrain) -> Result<Inputs> {
        let recorded = Inputs::recorded(&args.out).ok_or_else(|| {
            let out = args.out.display();
            BadInput(format!(
                "{out}: no earlier run is recorded; run `tandem quickstart --out {out}` again"
            ))
        })?;
        recorded.with(&args.events, &args.catalogue)?.with_embedder(args.embedder.as_deref())
    }

    /// Both releases on the same newest interactions, which neither was trained on.
    struct Comparison {
        targets: usize,
        old: f64,
        new: f64,
        /// Standard error of the difference, paired by user.
        error: f64,
    }

    impl Comparison {
        /// Whether the new release loses by more than chance explains.
        fn is_worse(&self) -> bool {
            self.new - self.old < -self.error
        }
    }

    impl std::fmt::Display for Comparison {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(
                f,
                "NDCG@10 on the newest interactions of {} users: {:.4} by the release in use, {:.4} by the new one (standard error of the difference {:.4})",
                thousands(self.targets),
                self.old,
                self.new,
                self.error
            )
        }
    }

    fn compare(job: &Job<'_>, current: &Release, trained: &Trained) -> Result<Comparison> {
        let users = &trained.held_out.test;
        let old = ranks_by(current, &trained.dataset, users, &job.work.join("old-lists.jsonl"))?;
        Ok(comparison(&old, &trained.measured.ranks_together))
    }

    fn comparison(old: &[Option<usize>], new: &[Option<usize>]) -> Comparison {
        let mean = |ranks: &[Option<usize>]| {
            ranks.iter().map(|it| ndcg10(*it)).sum::<f64>() / ranks.len().max(1) as f64
        };
        Comparison {
            targets: old.len(),
            old: mean(old),
            new: mean(new),
            error: mean_and_error(&paired_differences(new, old)).1,
        }
    }

    /// Ranks of the newest interactions of `users` by an older release, whose catalogue may lack
    /// items: these are missing from its histories, and a miss as a target.
    fn ranks_by(
        release: &Release,
        dataset: &Dataset,
        users: &[usize],
        lists: &Path,
    ) -> Result<Vec<Option<usize>>> {
        let known = Dataset::load(&release.data())?;
        let (view, places) = view(dataset, &known, users)?;
        let viewed: Vec<usize> = (0..view.sequences.len()).collect();
        let mut ranks = vec![None; users.len()];
        if viewed.is_empty() {
            return Ok(ranks);
        }
        pipeline::remove(lists)?;
        let wanted = test_prefixes(&view, &viewed);
        let (gguf, signals) = (release.measured_language_model(), release.measured_signals());
        let ranker = Ranker { gguf: &gguf, signals: signals.as_deref() };
        lists::make(ranker, &view, &wanted, LIST, lists)?;
        let lists = candidate_lists::load(lists, &view)?;
        let model =
            calibrated_model(&release.measured_small_model(), &view, &release.calibration())?;
        let found = together(&view, &model, &lists, &viewed)?.ranks;
        for (place, rank) in places.into_iter().zip(found) {
            ranks[place] = rank;
        }
        Ok(ranks)
    }

    /// The items of `users` as positions in the catalogue of `known`, with the place of each
    /// user in `users`. Users whose target or whole history is unknown are left out.
    fn view(dataset: &Dataset, known: &Dataset, users: &[usize]) -> Result<(Dataset, Vec<usize>)> {
        let position =
            |item: &ItemIndex| known.catalogue.index_of(&dataset.catalogue.get(*item).id);
        let (mut sequences, mut places) = (Vec::new(), Vec::new());
        for (place, &user) in users.iter().enumerate() {
            let Sequence { user, items, .. } = &dataset.sequences[user];
            let is_target_known = items.last().and_then(position).is_some();
            let items: Vec<ItemIndex> = items.iter().filter_map(position).collect();
            if is_target_known && items.len() > 1 {
                sequences.push(Sequence { user: user.clone(), items, times: None });
                places.push(place);
            }
        }
        let mut view = Dataset::new(&dataset.name, known.catalogue.clone(), sequences, None)
            .context("the releases cannot be compared")?;
        view.repeats = known.repeats;
        Ok((view, places))
    }

    #[cfg(test)]
    mod tests {
        use tandem_dataset::{Catalogue, Item};

        use super::*;

        fn dataset(ids: &[&str], sequences: &[&[u32]]) -> Dataset {
            let items = ids.iter().map(|id| Item::untitled((*id).into())).collect();
            let sequence = |items: &&[u32]| Sequence {
                user: "u".into(),
                items: items.iter().copied().map(ItemIndex).collect(),
                times: None,
            };
            let sequences = sequences.iter().map(sequence).collect();
            Dataset::new("d", Catalogue::new(items).unwrap(), sequences, None).unwrap()
        }

        #[test]
        fn an_older_release_sees_the_items_that_it_knows() {
            let new =
                dataset(&["a", "b", "c", "d"], &[&[0, 1, 3], &[3, 2, 1], &[2, 1], &[0, 3, 1]]);
            let known = dataset(&["b", "a", "x", "d"], &[]);
            let (view, places) = view(&new, &known, &[0, 1, 2, 3]).unwrap();
            // User 2 has only the target left.
            assert_eq!(places, [0, 1, 3]);
            let items =
                |at: usize| view.sequences[at].items.iter().map(|it| it.0).collect::<Vec<_>>();
            assert_eq!([items(0), items(1), items(2)], [vec![1, 0, 3], vec![3, 0], vec![1, 3, 0]]);
            // An unknown target.
            let (_, places) = super::view(&new, &dataset(&["a"], &[]), &[0, 1]).unwrap();
            assert!(places.is_empty());
        }

        #[test]
        fn a_release_is_worse_if_it_loses_more_than_the_standard_error() {
            let hits = |count: usize| -> Vec<Option<usize>> {
                (0..100).map(|user| (user < count).then_some(0)).collect()
            };
            assert!(comparison(&hits(50), &hits(40)).is_worse());
            assert!(!comparison(&hits(40), &hits(50)).is_worse());
            assert!(!comparison(&hits(50), &hits(50)).is_worse());
            // Two users less and one more: the difference is 0.01, its standard error 0.017.
            let mut mixed = hits(50);
            (mixed[0], mixed[1], mixed[60]) = (None, None, Some(0));
            assert!(!comparison(&hits(50), &mixed).is_worse());
        }
    }
}
