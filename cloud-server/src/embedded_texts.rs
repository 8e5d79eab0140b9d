//! The vectors of texts that were embedded. A new release has other neighbours for a text, and the
//! same vector: without them, the items that it lacks would be missing in lists until all their texts
//! are embedded again.

use std::{collections::HashMap, sync::Arc};

use tandem_dataset::{Catalogue, files::sha256_hex};

/// Maximum number of vectors: 77 MB at 384 dimensions.
const MAX: usize = 50_000;

/// Vectors of an embedding model by the hash of the text.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedTexts {
    /// SHA-256 of the embedding model.
    model: String,
    catalogue: Option<Arc<Catalogue>>,
    /// Vectors that were used with this catalogue.
    current: HashMap<String, Arc<[f32]>>,
    /// Those that were used with the one before.
    earlier: HashMap<String, Arc<[f32]>>,
}

impl EmbeddedTexts {
    /// Begins to use a catalogue and a model, if they are other ones.
    pub(crate) fn follow(&mut self, catalogue: &Arc<Catalogue>, model: &str) {
        if self.model != model {
            *self = Self { model: model.to_owned(), ..Self::default() };
        }
        if self.catalogue.as_ref().is_none_or(|known| !Arc::ptr_eq(known, catalogue)) {
            self.catalogue = Some(Arc::clone(catalogue));
            self.earlier = std::mem::take(&mut self.current);
        }
    }

    /// The vectors of texts, in their order. `embed` returns those of texts that are not known.
    ///
    /// # Errors
    /// That of `embed`.
    pub(crate) fn vectors<E>(
        &mut self,
        texts: &[String],
        embed: impl FnOnce(&[&str]) -> Result<Vec<Arc<[f32]>>, E>,
    ) -> Result<Vec<Arc<[f32]>>, E> {
        let keys: Vec<String> = texts.iter().map(|text| sha256_hex(text.as_bytes())).collect();
        let mut found: Vec<Option<Arc<[f32]>>> = keys
            .iter()
            .map(|key| self.current.get(key).or_else(|| self.earlier.get(key)).cloned())
            .collect();
        let missing: Vec<usize> = (0..texts.len()).filter(|at| found[*at].is_none()).collect();
        if !missing.is_empty() {
            let unknown: Vec<&str> = missing.iter().map(|at| texts[*at].as_str()).collect();
            for (at, vector) in missing.into_iter().zip(embed(&unknown)?) {
                found[at] = Some(vector);
            }
        }
        let found: Vec<Arc<[f32]>> = found.into_iter().flatten().collect();
        for (key, vector) in keys.into_iter().zip(&found) {
            if self.current.len() < MAX {
                self.current.insert(key, Arc::clone(vector));
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use tandem_dataset::Item;

    use super::*;

    fn catalogue() -> Arc<Catalogue> {
        Arc::new(Catalogue::new(vec![Item::untitled("a".into())]).unwrap())
    }

    /// The lengths of the texts as vectors, and the texts that had to be embedded.
    fn vectors(texts: &mut EmbeddedTexts, of: &[&str]) -> (Vec<f32>, Vec<String>) {
        let of: Vec<String> = of.iter().map(|text| (*text).to_owned()).collect();
        let mut embedded = Vec::new();
        let found = texts.vectors(&of, |unknown| {
            embedded.extend(unknown.iter().map(|text| (*text).to_owned()));
            Ok::<_, ()>(unknown.iter().map(|text| Arc::from([text.len() as f32])).collect())
        });
        (found.unwrap().iter().map(|vector| vector[0]).collect(), embedded)
    }

    #[test]
    fn a_text_is_embedded_once_for_releases_in_a_row() {
        let mut texts = EmbeddedTexts::default();
        let releases = [catalogue(), catalogue(), catalogue()];
        texts.follow(&releases[0], "model");
        let first = vectors(&mut texts, &["a", "bb", "ccc"]);
        assert_eq!(first, (vec![1.0, 2.0, 3.0], ["a", "bb", "ccc"].map(str::to_owned).to_vec()));
        assert_eq!(vectors(&mut texts, &["bb", "dddd"]), (vec![2.0, 4.0], vec!["dddd".to_owned()]));
        texts.follow(&releases[0], "model");
        texts.follow(&releases[1], "model");
        assert_eq!(vectors(&mut texts, &["ccc", "a"]), (vec![3.0, 1.0], Vec::new()));
        // "bb" was not used with the second release.
        texts.follow(&releases[2], "model");
        assert_eq!(vectors(&mut texts, &["a", "bb"]), (vec![1.0, 2.0], vec!["bb".to_owned()]));
        texts.follow(&releases[2], "another model");
        assert_eq!(vectors(&mut texts, &["a"]).1, ["a"]);
        assert_eq!(texts.vectors(&["x".to_owned()], |_| Err(7)), Err(7));
    }
}
