//! The TypeScript types of everything that crosses into JavaScript or over HTTP, generated
//! from the Rust types: `pkg/src/shared/generated.ts`.
//!
//! The test fails if the file is not up to date. `cargo xtask types` writes it.

use std::{env, fs, path::Path};

use tandem_collaboration::{
    Action, BucketLimits, CallShare, Consistency, Decision, Fusion, LanguageModelScore,
    Normalisation, Policy, ReasonCode, Trigger, UpliftModel,
};
use tandem_model::LearningConfig;
use tandem_protocol::{
    Artifact, Candidate, CandidatesRequest, CandidatesResponse, CatalogueInfo, Counts,
    DisagreementReport, EngineKind, ErrorCode, Event, EventKind, EventsRequest, EventsResponse,
    FilterValue, HostedModel, Ignored, ItemCounts, ItemFilter, ItemId, ItemRow,
    LanguageModelCalibration, LanguageModelInfo, LoggedEvent, Manifest, ModelConfig, ModelKind,
    ModelsResponse, NearItem, PriceRange, Problem, Ranking, RowsRequest, RowsResponse,
    ScoreExplanation, SearchConfig, TextPart,
};
use tandem_session::{Contribution, Explanation, RankedItem, SearchMode, Similar};
use ts_rs::{Config, TS};

use crate::{
    browser::Received,
    config::{Budget, OpenConfig},
    error::ClientError,
    history::HistoryChange,
    host::HttpRequest,
    server_link::{Connection, ConnectionState},
    update::{Deeper, Fetched, LearnReport, Stats, Timings, Undone, Update},
};

const FILE: &str = "../pkg/src/shared/generated.ts";
const WRITE: &str = "TANDEM_WRITE_TYPES";
const HEADER: &str =
    "// Generated from the Rust types by `wasm-client/src/typescript.rs`: change those.\n";

/// Declarations of the listed types, in their order.
macro_rules! declarations {
    ($config:expr, $($type:ty),+ $(,)?) => {
        [$(declaration::<$type>($config)),+]
    };
}

fn declaration<T: TS>(config: &Config) -> String {
    let docs = T::docs().unwrap_or_default();
    let declaration = format!("{docs}export {}\n", T::decl(config));
    for_javascript(&declaration)
}

/// Removes what only rustdoc understands from comments: examples and links to Rust items.
fn for_javascript(text: &str) -> String {
    let mut example = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        let fence = line.trim_start().starts_with("* ```");
        example ^= fence;
        if !(fence || example) {
            lines.push(line);
        }
    }
    let mut text = lines.join("\n") + "\n";
    while let Some(start) = text.find("`](") {
        let length = text[start..].find(')').unwrap_or(2);
        text.replace_range(start..=start + length, "`");
    }
    let replaced = [("[`", "`"), ("`]", "`"), ("`None`", "`null`"), ("\\[", "["), ("\\]", "]")];
    replaced.iter().fold(text, |text, (from, to)| text.replace(from, to)).replace(" *\n */", " */")
}

fn generated() -> String {
    let config = Config::new().with_large_int("number");
    let types = declarations![
        &config,
        // Results of the client.
        Update, RankedItem, Decision, Action, ReasonCode, Connection, ConnectionState, Stats,
        Timings, HistoryChange, Undone, Deeper, Fetched, ClientError, LearnReport, Explanation, Contribution, Similar,
        // Options of the client, and its network.
        OpenConfig, SearchMode, Budget, HttpRequest, Received, ErrorCode,
        // Wire format.
        ItemId, Event, EventKind, Ranking, CandidatesRequest, ItemFilter, PriceRange, FilterValue, CandidatesResponse, Candidate,
        ScoreExplanation, ItemRow, ItemCounts, NearItem, Ignored, tandem_protocol::Timings, RowsRequest, RowsResponse, ModelsResponse, HostedModel,
        EngineKind, EventsRequest, LoggedEvent, EventsResponse, DisagreementReport, Problem,
        // Manifest.
        Manifest<Fusion, Policy, LearningConfig>, LanguageModelCalibration<Fusion, Policy>,
        CatalogueInfo, ModelConfig, ModelKind, TextPart, Counts, LanguageModelInfo, Artifact, Fusion,
        SearchConfig, LanguageModelScore, Normalisation, Policy, Trigger, Consistency, UpliftModel,
        BucketLimits, CallShare, LearningConfig,
    ];
    [vec![HEADER.to_owned()], types.to_vec()].concat().join("\n")
}

#[test]
fn the_typescript_types_are_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let generated = generated();
    if env::var_os(WRITE).is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == generated,
        "{} does not match the Rust types; `cargo xtask types` writes it",
        path.display()
    );
}
