use crate::branch_scores::ExpertWeights;

/// How a language model is loaded and used. The options for prompts, titles and searches
/// apply to the title engine only.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadOptions {
    /// Number of evaluation threads. More threads than cores are slower. Item-token models
    /// that are too small to gain from a second thread use one.
    pub threads: usize,
    /// Name for people; the file name without its extension if absent.
    pub name: Option<String>,
    /// Maximum prompt length in tokens. The oldest history items that do not fit are dropped.
    pub prompt_tokens: usize,
    /// Maximum number of tokens that a search evaluates for one list. Popularity orders the
    /// items that it does not reach.
    pub decode_tokens: usize,
    /// Number of continuations evaluated in one batch.
    pub width: usize,
    /// Exponents of language model and popularity.
    pub weights: ExpertWeights,
    /// Number of synthetic histories whose mean estimates the model's scores without a
    /// history; 0 turns the correction off. Each costs one pass over the trie at load time,
    /// at most 2,048 tokens.
    pub unconditional_histories: usize,
    /// Text at the start of the prompt.
    pub preamble: String,
    /// Text before each title in the prompt.
    pub item_prefix: String,
    /// Whether titles include their year in parentheses.
    pub include_years: bool,
    /// Item tokens: number of histories kept in the prefix cache, also the maximum batch. At
    /// most 256, and fewer if the cache would exceed 128 MiB.
    pub sequences: usize,
    /// Item tokens: number of items from which the server makes an
    /// [index](crate::catalogue_index); lists of smaller catalogues are exact.
    pub index_from: usize,
    /// Whether items of the history can be candidates, for shops where things are bought again.
    pub repeats: bool,
    /// Whether the file is mapped into memory instead of read. Processes share the pages of a
    /// mapped file. A mapped file must not be overwritten while the model is in use: the process
    /// would be killed (SIGBUS) or read other weights.
    pub mapped: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            name: None,
            prompt_tokens: 512,
            decode_tokens: 512,
            width: 16,
            weights: ExpertWeights::default(),
            unconditional_histories: 2,
            preamble: "Titles similar in taste:\n".to_owned(),
            item_prefix: "-".to_owned(),
            include_years: true,
            sequences: 32,
            index_from: usize::MAX,
            repeats: false,
            mapped: true,
        }
    }
}
