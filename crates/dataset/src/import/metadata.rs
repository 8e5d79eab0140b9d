/// What is known of an item.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    pub(super) title: String,
    pub(super) year: Option<u16>,
    pub(super) genres: Vec<String>,
    pub(super) brand: String,
    pub(super) description: String,
}

impl Metadata {
    /// Takes from another row of the same item what is missing.
    pub(super) fn fill(&mut self, other: Self) {
        if self.title.is_empty() {
            self.title = other.title;
        }
        self.year = self.year.or(other.year);
        if self.genres.is_empty() {
            self.genres = other.genres;
        }
        if self.brand.is_empty() {
            self.brand = other.brand;
        }
        if self.description.is_empty() {
            self.description = other.description;
        }
    }
}
