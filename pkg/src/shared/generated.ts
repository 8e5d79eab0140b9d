// Generated from the Rust types by `wasm-client/src/typescript.rs`: change those.

/**
 * The state of the recommendations after an event.
 */
export type ClientUpdate = { 
/**
 * Fused order, best first.
 */
items: Array<RankedItem>, 
/**
 * Whether the device searched the catalogue itself.
 */
searched: boolean, 
/**
 * Whether a longer ranking would have no further items.
 */
exhausted: boolean, decision: Decision, 
/**
 * What the candidate list in use is ordered by; `null` without a list.
 */
ranking: Ranking | null, 
/**
 * Name of the language model that made the list.
 */
model: string | null, connection: Connection, stats: Stats, timings: Timings, };

/**
 * One item with the scores of each model.
 */
export type RankedItem = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * The fused score, higher is better. Comparable within one ranking only.
 */
score: number, 
/**
 * Whether the item is on the language model's list.
 */
listed: boolean, 
/**
 * Position in the language model's order of the remaining items, from 0. `null` for an
 * unlisted item.
 */
llmRank: number | null, 
/**
 * Position in the small model's order, from 0; the position in the ranking while there
 * is none.
 */
srmRank: number, 
/**
 * The language model's log-probability (nats). `null` for an unlisted item.
 */
logprob: number | null, 
/**
 * The small model's score (a logit), if it has one.
 */
srmScore: number | null, };

/**
 * A decision and the reason for it.
 */
export type Decision = { 
/**
 * What to do.
 */
action: Action, 
/**
 * Disagreement of the two orders, if there was a list to compare.
 */
disagreement: number | null, 
/**
 * `Policy::threshold`.
 */
threshold: number, 
/**
 * The reason, for programs.
 */
code: ReasonCode, 
/**
 * The reason with its figures, for people.
 */
reason: string, 
/**
 * Milliseconds after which time alone may change the decision (the back-off after a
 * failed call, a spent budget); `null` if time changes nothing.
 */
waitMs: number | null, };

/**
 * What to do with the list.
 */
export type Action = "keep" | "request";

/**
 * A `Reason` without its figures: a name for programs, in `snake_case` in JSON.
 */
export type ReasonCode = "no_candidates" | "rankings_disagree" | "rankings_agree" | "fresh_list_helps" | "fresh_list_helps_little" | "nothing_to_compare" | "list_not_personal" | "list_used_up" | "list_too_old" | "many_clicks" | "list_up_to_date" | "scheduled" | "not_scheduled" | "call_under_way" | "offline" | "last_call_failed" | "budget_spent";

/**
 * What is known about the connection to the server.
 */
export type Connection = { state: ConnectionState, 
/**
 * The last failure, for programs; `null` if the last request succeeded.
 */
code: WireErrorCode | null, 
/**
 * The last failure, for people.
 */
message: string | null, 
/**
 * Milliseconds until the server may be tried again; `null` if no retry is planned.
 */
retryInMs: number | null, };

/**
 * State of the connection.
 */
export type ConnectionState = "online" | "offline" | "failing";

/**
 * Counters of the session; bytes count from when the recommender was opened.
 */
export type Stats = { 
/**
 * Clicks, purchases and dislikes.
 */
clicks: number, 
/**
 * Requests for lists that were answered.
 */
calls: number, 
/**
 * Requests for lists that failed.
 */
failedCalls: number, 
/**
 * Bytes of request bodies.
 */
bytesUp: number, 
/**
 * Bytes of responses and artefacts, decompressed.
 */
bytesDown: number, 
/**
 * Age of the candidate list in milliseconds; `null` without a list.
 */
listAgeMs: number | null, 
/**
 * Clicks since the list was requested.
 */
clicksSinceList: number, 
/**
 * Learning steps on this device.
 */
learnSteps: number, 
/**
 * Scores and learning steps that were not finite numbers and were left out.
 */
nonFinite: number, };

/**
 * Durations in milliseconds.
 */
export type Timings = { 
/**
 * Scoring and fusing on the device.
 */
rerankMs: number, 
/**
 * The last request for a list, as the device sees it; `null` before the first.
 */
requestMs: number | null, 
/**
 * The part of it that the server reports as its own.
 */
serverMs: number | null, };

/**
 * A change of the history. The new history is the `kept` items that follow the first
 * `dropped` ones of the old history, and then `added`.
 */
export type HistoryChange = { dropped: number, kept: number, added: Array<ItemId>, };

/**
 * The result of `undo`.
 */
export type Undone = { 
/**
 * The event that was undone; `null` if there was none.
 */
event: TrackedEvent | null, update: ClientUpdate, };

/**
 * A longer ranking, for a page whose filter leaves too few items.
 */
export type Deeper = { 
/**
 * Fused order, best first.
 */
items: Array<RankedItem>, 
/**
 * Whether a longer ranking would have no further items.
 */
exhausted: boolean, };

/**
 * The result of `fetchMissing` and `fetchFurther`.
 */
export type Fetched = { 
/**
 * The ranking with the new rows; `null` if none arrived, and from `fetchFurther`.
 */
update: ClientUpdate | null, 
/**
 * Whether rows of clicked items arrived, so that these clicks can be learnt from.
 */
rows: boolean, 
/**
 * Files and rows that cannot be used; they are not requested again.
 */
errors: Array<ClientError>, 
/**
 * Whether there may be more to fetch now: from `fetchMissing`, if rows arrived without which
 * no cells could be chosen, or if rows of available items are missing; from `fetchFurther`,
 * if cells arrived.
 */
more: boolean, 
/**
 * Whether the server could not be reached, and could before.
 */
failed: boolean, };

/**
 * An error as it crosses to JavaScript: `{ code, message }`.
 */
export type ClientError = { 
/**
 * For programs.
 */
code: WireErrorCode, 
/**
 * For people: what was expected, what was found, what to do.
 */
message: string, };

/**
 * One learning step on the device.
 */
export type LearnReport = { 
/**
 * Number of the step in this session, from 1.
 */
step: number, 
/**
 * Cross-entropy of the click before the step, in nats.
 */
lossBefore: number, 
/**
 * The same after the step.
 */
lossAfter: number, 
/**
 * Duration in milliseconds.
 */
ms: number, };

/**
 * Why an item has its rank.
 */
export type Explanation = { 
/**
 * The item with the scores of each model.
 */
item: RankedItem, 
/**
 * Its position in the fused order, from 0.
 */
rank: number, 
/**
 * Number of ranked items.
 */
of: number, 
/**
 * Contributions of the newest items of the history, largest magnitude first.
 */
contributions: Array<Contribution>, };

/**
 * What one item of the history contributes to the score of another item.
 */
export type Contribution = { 
/**
 * The item of the history.
 */
item: ItemId, 
/**
 * Change of the score (a logit, relative to the mean over the ranked items) that this
 * item causes. Negative if it lowers the score.
 */
logit: number, };

/**
 * An item and its similarity to another.
 */
export type SimilarItem = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * Cosine of the two rows as this visitor has learnt them, in [-1, 1].
 */
similarity: number, };

/**
 * Options of `Client.open`.
 */
export type OpenConfig = { 
/**
 * Address of the server, with or without a slash at the end; empty: this page's own.
 */
server: string, 
/**
 * The backend that is expected; refused if the module was built for the other.
 */
device: 'cpu' | 'webgpu', 
/**
 * How long a request may take, in milliseconds (20,000).
 */
timeoutMs?: number, 
/**
 * Makes the jitter of retries repeatable.
 */
seed?: number, 
/**
 * Limit of requests for lists, in place of the manifest's.
 */
budget?: Budget, 
/**
 * How the device searches the catalogue (`auto`: as the manifest says).
 */
search: SearchMode, 
/**
 * Memory for cells of the item table, in bytes (8 MB).
 */
searchMemory?: number, 
/**
 * Whether the counts of the release take part in the ranking (yes).
 */
counts?: boolean, 
/**
 * Whether items of the history may be recommended again (as the manifest says).
 */
repeats?: boolean, };

/**
 * What a page asks of the search on the device.
 */
export type SearchMode = "auto" | "whole" | "cells" | "off";

/**
 * A call budget: a token bucket.
 */
export type Budget = { 
/**
 * Lists that may be requested at once, at least 1.
 */
burst: number, 
/**
 * Requests regained per minute.
 */
perMinute: number, };

/**
 * A request, as the worker's network gets it.
 */
export type HttpRequest = { url: string, 
/**
 * JSON to post; `null` for a GET.
 */
body: string | null, 
/**
 * The purpose in words, for the visitor's ledger.
 */
why: string, 
/**
 * SHA-256 of the content, where it is known: the key in the cache.
 */
sha256: string | null, 
/**
 * SHA-256 of the index, for a cell. Its cells stay in the cache as long as the index.
 */
cellIndex: string | null, 
/**
 * Bypasses the cache, whose copy was damaged.
 */
fresh: boolean, };

/**
 * A response as the network resolves with it; the body is copied out of it once.
 */
export type HttpResponse = { status: number, 
/**
 * The header `retry-after`.
 */
retryAfter: string | null, 
/**
 * The header `x-artifacts`.
 */
artifacts: string | null, body: Uint8Array, 
/**
 * Whether it came from a cache of this device.
 */
cached: boolean, };

/**
 * Code of an error that crosses the network, a worker or the WebAssembly boundary.
 *
 * Programs act on the code, which does not change. The message beside it is for
 * people and may change.
 */
export type WireErrorCode = "invalid_request" | "invalid_field" | "payload_too_large" | "not_found" | "method_not_allowed" | "unauthorized" | "unsupported_media_type" | "not_ready" | "overloaded" | "rate_limited" | "event_log_full" | "storage_full" | "conflict" | "release_refused" | "timeout" | "internal" | "unreachable" | "bad_response" | "integrity" | "unsupported_version" | "invalid_artifact" | "catalogue_changed" | "invalid_argument" | "unknown_item" | "no_adapter" | "device_lost" | "disposed" | "aborted";

/**
 * Identifier of an item in the shop (for example a SKU or a film number), never a position.
 *
 * Ids stay the same across imports and model versions, so the device's session and its
 * personal delta use them as keys. Cloning is cheap. Native bulk code uses dense positions in
 * the catalogue instead (`tandem_dataset::ItemIndex`).
 */
export type ItemId = string;

/**
 * An action of a visitor on an item.
 */
export type TrackedEvent = { 
/**
 * The action.
 */
type: EventKind, 
/**
 * The item.
 */
item: ItemId, };

/**
 * Action of an `Event`.
 */
export type EventKind = "click" | "view" | "purchase" | "dislike";

/**
 * What a candidate list is ordered by.
 */
export type Ranking = "language_model" | "popularity";

/**
 * Body of `POST /v1/candidates`: a request for a candidate list.
 */
export type CandidatesRequest = { 
/**
 * The visitor's items, oldest first. Unknown ids and repeated items are skipped and
 * counted in `Ignored`. May be empty; at most 10,000.
 */
history: Array<ItemId>, 
/**
 * Items that must not be candidates, in addition to the history (for example sold out or
 * disliked); at most 10,000.
 */
exclude?: Array<ItemId>, 
/**
 * Conditions that candidates must meet. The list is the best `k` of the items that meet them.
 * Default: none.
 */
filter?: ItemFilter | null, 
/**
 * Name of the language model to use, one of `GET /v1/models`. Default: the server's
 * first.
 */
model?: string | null, 
/**
 * Number of candidates, 1 to 200. Default: set by the server (50).
 */
k?: number | null, 
/**
 * Whether the response contains the item rows of candidates and history. A device that
 * does not hold the whole item table asks for them.
 */
rows: boolean, 
/**
 * The release that the rows are to be of: the one whose weights the device holds. A server
 * that does not have it refuses the request. Default: the current release. The header
 * `x-artifacts` of the response names the release. Without `rows`, candidates that the
 * catalogue of the release lacks have rows of it, if the server has the release.
 */
release?: string | null, 
/**
 * Whether each candidate of the response has an `explanation`.
 * Lists of title models and lists by popularity have none.
 */
explain?: boolean, };

/**
 * Conditions that candidates must meet: all of those that are given. An empty list is no
 * condition. Texts are compared exactly.
 */
export type ItemFilter = { 
/**
 * The item has one of these categories; at most 100.
 */
categories?: Array<string>, 
/**
 * The item has one of these brands; at most 100.
 */
brands?: Array<string>, 
/**
 * The item has a price in this range.
 */
price?: PriceRange | null, 
/**
 * For each name, the item has an attribute with one of these values; at most 100 names with
 * 100 values each.
 */
attributes?: { [key in string]: Array<FilterValue> }, };

/**
 * A range of prices in the shop's currency, both ends included.
 */
export type PriceRange = { 
/**
 * Lowest price. Default: no limit.
 */
min?: number | null, 
/**
 * Highest price. Default: no limit.
 */
max?: number | null, };

/**
 * A value of an attribute. Whole numbers above 2^53 are refused, as in items: they would be
 * rounded.
 */
export type FilterValue = boolean | number | string;

/**
 * Response of `POST /v1/candidates`: a candidate list.
 */
export type CandidatesResponse = { 
/**
 * Name of the language model that made the list.
 */
model: string, 
/**
 * Hash of the catalogue that the ids belong to
 * (`CatalogueInfo::hash`).
 */
catalogue_hash: string, 
/**
 * What the list is ordered by.
 */
ranking: Ranking, 
/**
 * Distinct items, best first, none of them in the history or excluded. Fewer than
 * requested only if no more items remain.
 */
candidates: Array<Candidate>, 
/**
 * Number of available items that meet the filter, those of the history, the excluded ones and
 * new ones that no model can rank yet included; only if the request has a filter.
 */
total?: number | null, 
/**
 * Rows of the known items of the history, if rows were requested.
 */
history_rows?: Array<ItemRow>, 
/**
 * Items of the request that were not used.
 */
ignored: Ignored, 
/**
 * How long the parts of the request took.
 */
timings: ServerTimings, };

/**
 * An item of a candidate list.
 */
export type Candidate = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * Log-probability (nats) of the item among the items that remain, which are those that the
 * server can rank, meet the filter and are neither in the history nor excluded.
 */
logprob: number, 
/**
 * The item's row (`ItemRow::row`), if rows were requested or the catalogue of the release
 * lacks the item. Absent if the server has none.
 */
row?: string | null, 
/**
 * What the item's score is made of, if it was requested.
 */
explanation?: ScoreExplanation | null, };

/**
 * What the score of a candidate is made of: one part for each signal, and their sum.
 *
 * A part is the signal's weight times how far the item is above the mean of the catalogue, in
 * standard deviations of this visitor, times the temperature. Above 0 it raises the item. A
 * signal that the server does not have, or that says nothing about this history, is absent. For
 * a server without ranking signals, the one part is the language model's logit above the mean.
 *
 * The log-probability of a candidate is its score minus a number that is the same for all items
 * of the list.
 *
 * For callers with a public key `counts` is part of `language_model`: alone it would tell whether
 * anyone chose two items one after the other, also within the last minutes.
 */
export type ScoreExplanation = { 
/**
 * The score: the sum of the parts.
 */
score: number, 
/**
 * The language model, which has read the history.
 */
language_model?: number | null, 
/**
 * Co-occurrence counts: what visitors choose near the newest items of the history.
 */
counts?: number | null, 
/**
 * Similarity of the item's text to the texts of the history.
 */
text?: number | null, 
/**
 * The small model, as it ranks on the device.
 */
small_model?: number | null, };

/**
 * An item's row of the small model's item table.
 */
export type ItemRow = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * Base64 (standard alphabet, padded) of a little-endian `f32` scale and one `i8` per
 * dimension. The row's values are `scale * i8`.
 */
row: string, };

/**
 * The count row of an item: the items that were most often chosen near it.
 */
export type ItemCounts = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * Its neighbours.
 */
near: Array<NearItem>, };

/**
 * An item that was chosen near another one.
 */
export type NearItem = { 
/**
 * The item.
 */
item: ItemId, 
/**
 * How often it was chosen near the other item, relative to its popularity; at least 0.
 */
weight: number, 
/**
 * Its row, as `ItemRow::row`. Absent if an earlier part of the response has it.
 */
row?: string | null, };

/**
 * Number of items of a request that the server did not use.
 */
export type Ignored = { 
/**
 * Ids that are not in the catalogue, in history and exclusions.
 */
unknown: number, 
/**
 * Occurrences of an item that is repeated later in the history.
 */
duplicate: number, 
/**
 * Oldest items beyond the length that the model reads.
 */
truncated: number, };

/**
 * Durations of a request's parts in milliseconds, and the number of decoded tokens.
 *
 * `prompt_ms`, `decode_ms` and the tokens are 0 for callers with a public key: they would tell
 * whether a history is in the prefix cache, that is, whether another visitor has it.
 */
export type ServerTimings = { 
/**
 * Waiting until the model was free.
 */
queue_ms: number, 
/**
 * Evaluating the prompt.
 */
prompt_ms: number, 
/**
 * Decoding candidates.
 */
decode_ms: number, 
/**
 * From the arrival of the request to its response.
 */
total_ms: number, 
/**
 * Tokens of the prompt that were evaluated; those of a cached prefix are not.
 */
prompt_tokens: number, 
/**
 * Tokens that were evaluated for decoding, over all beams.
 */
decoded_tokens: number, };

/**
 * Body of `POST /v1/rows`: a request for the rows of items that are on no list.
 */
export type RowsRequest = { 
/**
 * The items, at most 1,000.
 */
items: Array<ItemId>, 
/**
 * Items of the history whose co-occurrence counts are wanted, at most
 * `Counts::NEWEST`. For devices that do not have the counts of the
 * whole catalogue.
 */
counts?: Array<ItemId>, 
/**
 * As `CandidatesRequest::release`.
 */
release?: string | null, };

/**
 * Response of `POST /v1/rows`.
 */
export type RowsResponse = { 
/**
 * SHA-256 of the item table file, as in `Manifest::rows`.
 */
rows_hash: string, 
/**
 * Rows of the known items, in the order of the request.
 */
rows: Array<ItemRow>, 
/**
 * Counts of the known items of `RowsRequest::counts`, in their order. Empty if the release
 * has no counts.
 */
counts?: Array<ItemCounts>, 
/**
 * Number of requested ids that are not in the catalogue.
 */
unknown: number, };

/**
 * Response of `GET /v1/models`: the language models of a server.
 */
export type ModelsResponse = { 
/**
 * The models; the first one is used by requests that name none.
 */
models: Array<HostedModel>, };

/**
 * A language model that a server hosts.
 */
export type HostedModel = { 
/**
 * Name for `CandidatesRequest::model`.
 */
name: string, 
/**
 * Whether the model is loaded. The other fields are known only then.
 */
ready: boolean, 
/**
 * How the model's vocabulary represents items.
 */
engine?: EngineKind | null, 
/**
 * SHA-256 of the GGUF file, lower-case hexadecimal.
 */
sha256?: string | null, };

/**
 * How a language model's vocabulary represents items.
 */
export type EngineKind = "titles" | "item_tokens";

/**
 * Body of `POST /v1/events`: events for the server's log.
 */
export type EventsRequest = { 
/**
 * Random name of the visit or, with consent, of the visitor; or the pseudonym that the site
 * gives: 1 to 64 letters, digits, `-` or `_`.
 */
session: string, 
/**
 * Events, oldest first; at most 500.
 */
events: Array<LoggedEvent>, };

/**
 * An `Event` for the server's log.
 */
export type LoggedEvent = { 
/**
 * Name of the event. It is the same each time the event is sent, so that the server can
 * drop repetitions: 1 to 64 letters, digits, `-` or `_`.
 */
id: string, 
/**
 * The action.
 */
type: EventKind, 
/**
 * The item.
 */
item: ItemId, 
/**
 * Time by the device's clock, in milliseconds since 1970-01-01 UTC.
 */
at: number, 
/**
 * Id of the recommendations that led to the event, if the page gave it. Logged for the
 * site's own measurements; training does not read it.
 */
recommendation?: string, };

/**
 * Response of `POST /v1/events`.
 */
export type EventsResponse = { 
/**
 * Number of events added to the log.
 */
accepted: number, 
/**
 * Number of events that were in the log already.
 */
repeated: number, 
/**
 * Number of the added events with items that the server does not know, or that were deleted.
 * They are logged for the next import, which may have a newer catalogue.
 */
unknown: number, };

/**
 * Body of `POST /v1/disagreements`: how far the device's order of a list of the shop is from
 * the shop's order. Contains nothing else.
 */
export type DisagreementReport = { 
/**
 * Disagreement, 0 to 1.
 */
disagreement: number, };

/**
 * An error response of the server: `application/problem+json` (RFC 9457) with the additional
 * members `code` and `field`.
 */
export type Problem = { 
/**
 * Always `about:blank`; errors are told apart by `Problem::code`.
 */
type: string, 
/**
 * Reason phrase of the HTTP status.
 */
title: string, 
/**
 * HTTP status code.
 */
status: number, 
/**
 * What happened and what to do about it, for people.
 */
detail: string, 
/**
 * What happened, for programs.
 */
code: WireErrorCode, 
/**
 * Path of the invalid field in the request (for example `history[3]`).
 */
field?: string | null, };

/**
 * `manifest.json`: the artefacts that a device loads and the settings it uses.
 *
 * `fusion`, `policy` and `learning` have the configuration types of `tandem-collaboration` and
 * `tandem-model`. They are type parameters here because this crate depends on neither.
 */
export type Manifest<Fusion, Policy, Learning> = { 
/**
 * `PROTOCOL_VERSION` of the writer.
 */
version: number, 
/**
 * The catalogue that the model was trained on.
 */
catalogue: CatalogueInfo, 
/**
 * Shape of the small model.
 */
model: ModelConfig, 
/**
 * The text part of the item rows; none if absent.
 */
text?: TextPart | null, 
/**
 * Co-occurrence counts beside the small model's scores; none if absent.
 */
counts?: Counts | null, 
/**
 * The language model that fusion and policy were calibrated with, if any.
 */
language_model?: LanguageModelInfo | null, 
/**
 * Weights of the small model without its item table, in `safetensors` format.
 */
body: Artifact, 
/**
 * Item table of the small model: `u32` little-endian number of items and of dimensions,
 * then one row per item in catalogue order. A row is `ItemRow::row`
 * without the Base64 encoding.
 */
rows: Artifact, 
/**
 * The catalogue for display: a JSON array of `{item, title, year, genres}` in catalogue
 * order.
 */
items: Artifact, 
/**
 * How the two models' scores are joined.
 */
fusion: Fusion, 
/**
 * When the cloud is called.
 */
policy: Policy, 
/**
 * How the device learns.
 */
learning: Learning, 
/**
 * Fusion and policy for lists of particular language models. Log-probabilities of another
 * model need another weight.
 */
language_models?: Array<LanguageModelCalibration<Fusion, Policy>>, 
/**
 * How the device searches the catalogue itself. Absent: it only re-ranks candidate lists.
 */
search?: SearchConfig | null, 
/**
 * Whether items of the history can be recommended again, for shops where things are bought
 * again. A page can decide otherwise.
 */
repeats?: boolean, 
/**
 * Items to show before anything is known about the visitor, most popular first; at most
 * `MAX_POPULAR`.
 */
popular?: Array<ItemId>, };

/**
 * Fusion and policy for the lists of one language model.
 */
export type LanguageModelCalibration<Fusion, Policy> = { 
/**
 * `CandidatesResponse::model` of its lists.
 */
name: string, 
/**
 * SHA-256 of the GGUF file that was used for the calibration, if known.
 */
sha256?: string | null, 
/**
 * How the two models' scores are joined.
 */
fusion: Fusion, 
/**
 * When the cloud is called.
 */
policy: Policy, };

/**
 * Hash and size of a catalogue.
 */
export type CatalogueInfo = { 
/**
 * SHA-256 over the item ids in catalogue order, lower-case hexadecimal.
 */
hash: string, 
/**
 * Number of items.
 */
items: number, };

/**
 * Shape of a small model. An architecture ignores the fields it does not use.
 */
export type ModelConfig = { 
/**
 * Architecture.
 */
kind: ModelKind, 
/**
 * Width of an item row and of the hidden state.
 */
dims: number, 
/**
 * Number of layers.
 */
blocks: number, 
/**
 * Number of attention heads; divides `dims`.
 */
heads: number, 
/**
 * Largest number of items of a history that are read; older ones are left out.
 */
max_length: number, };

/**
 * Architecture of a small recommendation model.
 */
export type ModelKind = "sasrec" | "gru4rec" | "din";

/**
 * The text part of item rows: a row is the model's own `dims` numbers, then a text vector.
 *
 * The score of an item gets `weight · |h| · (m·t) / |m|`, where `h` is the model's hidden state,
 * `t` the item's text part and `m` the sum of the text parts of the history, each weighted by
 * `DECAY` to the power of its age. It is still one dot product of two vectors.
 */
export type TextPart = { 
/**
 * Width of the text part.
 */
dims: number, 
/**
 * Weight of the text part relative to the model's score, at least 0.
 */
weight: number, };

/**
 * Co-occurrence counts on the device, added to the scores of the small model.
 *
 * The score of an item `i` gets `weight · |h| · c(i) / |c|`, where `h` is the model's hidden
 * state and `c` the sum of the count rows of the newest `NEWEST` items of the
 * history, each weighted by `DECAY` to the power of its age. A count row holds
 * the items that were most often chosen near one item, relative to their popularity.
 */
export type Counts = { 
/**
 * The count rows of all items. A device with the whole item table loads the file after the
 * first click; one that searches in cells asks the server for the rows of its history
 * (`RowsRequest::counts`).
 */
rows: Artifact, 
/**
 * Weight of the counts relative to the model's score, at least 0.
 */
weight: number, };

/**
 * The language model that makes the candidate lists.
 */
export type LanguageModelInfo = { 
/**
 * Name for display.
 */
name: string, 
/**
 * SHA-256 of the GGUF file, lower-case hexadecimal.
 */
sha256: string, };

/**
 * A file beside the manifest.
 */
export type Artifact = { 
/**
 * File name relative to the manifest.
 */
path: string, 
/**
 * SHA-256 of the file, lower-case hexadecimal.
 */
sha256: string, 
/**
 * Size in bytes.
 */
bytes: number, };

/**
 * How the scores of the two models are joined.
 *
 * Scores are given in the language model's order: index `j` is the item's rank in the
 * candidate list, from 0. `fuse_pool` also takes *unlisted* items, which
 * the device found itself and the language model did not name.
 */
export type Fusion = { "rule": "paper", 
/**
 * Weight of the small model; the paper tries 1 and 2.
 */
beta: number, 
/**
 * If set, the small model counts only for items with `|p_j - 0.5| > gate`.
 * The paper tries 0.4.
 */
gate?: number | null, } | { "rule": "weighted", 
/**
 * Weight of the language model, 0 to 1.
 */
alpha: number, 
/**
 * Which score of the language model is used.
 */
language_model: LanguageModelScore, 
/**
 * Normalisation of the small model's scores.
 */
small_model: Normalisation, 
/**
 * Distance in nats between the last log-probability of the list and the score of an
 * unlisted item; at least 0.
 */
unlisted_gap: number, };

/**
 * Settings of the search on the device.
 */
export type SearchConfig = { 
/**
 * Number of items that the search adds to the candidate list.
 */
k: number, 
/**
 * Index of the cells that the item table is divided into. The cells are files named by
 * their hash beside the manifest (`cells/<sha256>`), and the device loads those near the
 * visitor's state. Absent: the device loads and searches the whole item table.
 */
cells?: Artifact | null, };

/**
 * The language model's score in `Fusion::Weighted`.
 */
export type LanguageModelScore = "rank" | "log_prob";

/**
 * A normalisation of the scores of one list.
 *
 * Every result is finite. A score that is not finite gets the
 * [neutral](Normalisation::neutral) value and does not influence the others. If all scores are
 * equal, or there is only one, all but `Normalisation::Sigmoid` return the neutral value.
 */
export type Normalisation = "sigmoid" | "min_max" | "z_score" | "rank";

/**
 * When the cloud is called. Calibrated on validation data and shipped in the manifest.
 *
 * Fields that are absent from the JSON have their default.
 */
export type Policy = { 
/**
 * Measure of the disagreement of the two orders. Default: `Consistency::Footrule`.
 */
consistency: Consistency, 
/**
 * A call is wanted if the disagreement is above this value; 0 to 1. Default 0.4; with the
 * footrule, a random order has a disagreement of 2/3.
 */
threshold: number, 
/**
 * The rule that decides whether a usable list is replaced. Default:
 * `Trigger::Disagreement`.
 */
trigger: Trigger, 
/**
 * Number of clicks after which a list is replaced. Default 20.
 */
max_clicks_since_list: number | null, 
/**
 * Age in milliseconds above which a list is replaced. Default ten minutes.
 */
max_age_ms: number | null, 
/**
 * A list with fewer recommendable items than this is used up. Default 10.
 */
min_unseen: number, 
/**
 * Limit of calls over time; `null` for no limit. Default: `BucketLimits::default`.
 */
bucket: BucketLimits | null, 
/**
 * Limit of calls as a share of interactions. Default: none.
 */
max_call_share: CallShare | null, };

/**
 * The rule that decides whether a usable list is replaced.
 *
 * All but the first two are baselines for comparison. No rule requests a list again if
 * nothing happened since the last request.
 */
export type Trigger = { "when": "disagreement" } | { "when": "uplift", 
/**
 * Gain in NDCG@10 above which a call is wanted; calibrated for a call budget.
 */
threshold: number, 
/**
 * Predicts the gain.
 */
model: UpliftModel, } | { "when": "never" } | { "when": "always" } | { "when": "random", 
/**
 * Probability of a call per click, 0 to 1.
 */
share: number, 
/**
 * Seed; should differ between the sessions of an evaluation.
 */
seed: number, } | { "when": "every_kth_click", 
/**
 * Distance of two calls in clicks, at least 1.
 */
k: number, } | { "when": "new_items", 
/**
 * Number of items, at least 1.
 */
k: number, };

/**
 * A measure of the disagreement between two orders: 0 for equal orders, at most 1.
 */
export type Consistency = { "measure": "footrule" } | { "measure": "kendall_tau" } | { "measure": "rank_biased_overlap", 
/**
 * Persistence, between 0 and 1 (both exclusive). With 0.9 the first ten ranks have
 * 86 % of the weight.
 */
p: number, } | { "measure": "top_k_overlap", 
/**
 * Number of ranks that are compared, at least 1.
 */
k: number, };

/**
 * A linear rule that predicts the gain in NDCG@10 of each of the next clicks if the list were
 * replaced. The fields are the weights of `UpliftEvidence::features`.
 */
export type UpliftModel = { 
/**
 * Gain if all features are 0.
 */
intercept: number, 
/**
 * Weight of `ListAdvantage::expected_gain` now.
 */
expected_gain: number, 
/**
 * Weight of the same when the list was new.
 */
expected_gain_baseline: number, 
/**
 * Weight of `ListAdvantage::margin` now.
 */
margin: number, 
/**
 * Weight of the same when the list was new.
 */
margin_baseline: number, 
/**
 * Weight of `ListAdvantage::log_odds` now.
 */
log_odds: number, 
/**
 * Weight of the same when the list was new.
 */
log_odds_baseline: number, 
/**
 * Weight of `UpliftEvidence::disagreement`.
 */
disagreement: number, 
/**
 * Weight of `UpliftEvidence::clicks_since`.
 */
clicks_since: number, 
/**
 * Weight of the share of clicks that missed the list.
 */
missed_share: number, 
/**
 * Weight of `UpliftEvidence::state_drift`.
 */
state_drift: number, 
/**
 * Weight of `PoolFeatures::overlap`.
 */
pool_overlap: number, 
/**
 * Weight of `PoolFeatures::listed_share`.
 */
listed_share: number, 
/**
 * Weight of `PoolFeatures::confidence`.
 */
confidence: number, };

/**
 * Size and refill of a `TokenBucket`.
 */
export type BucketLimits = { 
/**
 * Number of calls that may be made in immediate succession, at least 1.
 */
capacity: number, 
/**
 * Calls added per minute; 0 for a bucket that is never refilled.
 */
refill_per_minute: number, };

/**
 * A limit of calls as a share of interactions.
 */
export type CallShare = number;

/**
 * How a device learns from clicks.
 *
 * The optimiser is plain gradient descent. With one example per step, a method that normalises
 * gradients (Adam) would move each of the fifty negatives as far as the clicked item.
 */
export type LearningConfig = { 
/**
 * Rank of the adapter; 0 for none.
 */
rank: number, 
/**
 * Learning rate of the row deltas.
 */
row_rate: number, 
/**
 * Learning rate of the adapter.
 */
adapter_rate: number, 
/**
 * Weight decay of row deltas and adapter: each step multiplies them by
 * `1 − decay · learning rate`.
 */
decay: number, 
/**
 * Largest norm of the gradient of row deltas and adapter together; a larger gradient is
 * scaled down to it.
 */
max_norm: number, 
/**
 * Number of candidates, from the top of the list, that are used as negatives.
 */
negatives: number, 
/**
 * Learning rate of the preference, relative to the size of the rows: about how much a
 * click that the model gave a low probability raises its item's score (logits). 0 for none.
 */
preference_rate: number, 
/**
 * Decay of the preference: each click multiplies it by `1 − preference_decay`, 0 to 1.
 */
preference_decay: number, 
/**
 * Number of clicks, including the newest, that a step of the preference uses.
 */
replay: number, };
