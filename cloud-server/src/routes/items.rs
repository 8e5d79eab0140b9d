//! Items of the database: upsert, availability, lists, search and deletion.

use std::rc::Rc;

use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use tandem_protocol::{ItemId, Problem};
use tandem_storage::{
    Availability, ItemQuery, NewItem, Storage, StorageError, StoredItem, Upserted,
};

use crate::{
    body::{check_encoding, next_chunk},
    connection::Activity,
    error::ApiError,
    query::Query,
    state::AppState,
    storage::{AvailabilityLine, Format, Line, LineError, Lines, Refusal, refusal},
};

/// Number of items that are written in one transaction.
const BATCH: usize = 5_000;
/// Number of availabilities that are written in one transaction.
const AVAILABILITIES: usize = 200_000;
/// Maximum number of errors in a response.
const MAX_ERRORS: usize = 100;
/// Maximum number of items in a list.
const MAX_LIMIT: u32 = 1_000;
const DEFAULT_LIMIT: u32 = 50;

/// What became of the lines of a body.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct UpsertResponse {
    /// Number of items that were not stored before.
    added: u64,
    /// Number of items that have changed.
    changed: u64,
    /// Number of items that are stored as they were sent.
    unchanged: u64,
    /// Number of lines that were refused.
    refused: u64,
    /// The first 100 refused lines.
    errors: Vec<LineError>,
}

/// What became of the lines of a body.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct AvailabilityResponse {
    /// Number of items whose availability has changed.
    changed: u64,
    /// Number of items that had this availability.
    unchanged: u64,
    /// Number of ids that are not stored.
    unknown: u64,
    /// Number of lines that were refused.
    refused: u64,
    /// The first 100 refused lines.
    errors: Vec<LineError>,
}

/// The query of `GET /v1/items`.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// The id of the one item that is wanted; not together with other parameters.
    id: Option<String>,
    /// Words that the items must have; the last one may be the beginning of a word.
    q: Option<String>,
    /// A category that the items must have.
    category: Option<String>,
    /// Whether the items must be available, or must not be.
    available: Option<bool>,
    /// Maximum number of items, 1 to 1,000 (default: 50).
    limit: Option<u32>,
    /// The last id of the page before; not together with `q`.
    after: Option<String>,
}

impl ListQuery {
    /// The id, if the query asks for one item.
    fn only_id(&self) -> Result<Option<ItemId>, ApiError> {
        let Self { id, q, category, available, limit, after } = self;
        let Some(id) = id else { return Ok(None) };
        let is_alone = q.is_none() && category.is_none() && after.is_none();
        if !is_alone || available.is_some() || limit.is_some() {
            return Err(ApiError::InvalidField {
                field: "id".to_owned(),
                detail: "expected no other parameter together with `id`".to_owned(),
            });
        }
        checked(ItemId::new(id.as_str())).map(Some)
    }
}

/// The response of `GET /v1/items`.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ItemList {
    #[schema(value_type = Vec<Object>)]
    items: Vec<StoredItem>,
}

/// Stores items.
///
/// The body has one item per line: JSON objects (`application/x-ndjson`) or CSV with a header
/// (`text/csv`), without a limit of its size. Each item replaces what is stored under its id; of an
/// id that comes several times, the last line counts. An item of an answer can be sent back: the
/// fields `created`, `updated` and `score` are ignored, and `null` is as good as no field. Lines that
/// cannot be used are refused with their numbers, the others are stored, 5,000 in one transaction. A
/// header of CSV without the column `id` is 400, and nothing is stored. If the storage fails, the
/// transactions before are kept: send the body again. 404 without `--storage`.
#[utoipa::path(
    post, path = "/v1/items", tag = "admin",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "What became of the lines", body = UpsertResponse),
        (status = 404, description = "The server has no storage", body = Problem),
        (status = 503, description = "The storage is full or does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn upsert(
    state: web::Data<AppState>,
    http: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<UpsertResponse>, ApiError> {
    let storage = storage(&state)?;
    let mut body = Body::new(&state, &http, payload, Lines::of_items)?;
    let mut response = UpsertResponse::default();
    let write = async |batch: Vec<NewItem>| {
        let Upserted { added, changed, unchanged } = storage.upsert_items(batch).await?;
        response.added += added;
        response.changed += changed;
        response.unchanged += unchanged;
        Ok(())
    };
    let Refused { count, errors } = body.in_batches(BATCH, Lines::item, write).await?;
    (response.refused, response.errors) = (count, errors);
    follow(&state, &storage).await;
    Ok(web::Json(response))
}

/// Sets the availability of items.
///
/// The body has one line per item, `{"id":"sku-1","available":false}` (`application/x-ndjson`) or
/// CSV with the columns `id` and `available`, without a limit of its size. Of an id that comes
/// several times, the last line counts. Items that are not available are not recommended. 404
/// without `--storage`.
#[utoipa::path(
    put, path = "/v1/availability", tag = "admin",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "What became of the lines", body = AvailabilityResponse),
        (status = 404, description = "The server has no storage", body = Problem),
        (status = 503, description = "The storage is full or does not answer", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn availability(
    state: web::Data<AppState>,
    http: HttpRequest,
    payload: web::Payload,
) -> Result<web::Json<AvailabilityResponse>, ApiError> {
    let storage = storage(&state)?;
    let mut body = Body::new(&state, &http, payload, Lines::of_availabilities)?;
    let mut response = AvailabilityResponse::default();
    let write = async |batch: Vec<AvailabilityLine>| {
        let batch = batch.into_iter().map(|line| (line.id, line.available)).collect();
        let Availability { changed, unchanged, unknown } = storage.set_availability(batch).await?;
        response.changed += changed;
        response.unchanged += unchanged;
        response.unknown += unknown;
        Ok(())
    };
    let Refused { count, errors } =
        body.in_batches(AVAILABILITIES, Lines::availability, write).await?;
    (response.refused, response.errors) = (count, errors);
    follow(&state, &storage).await;
    Ok(web::Json(response))
}

/// Lists or searches items.
///
/// Without `q` ordered by id, in pages (`after`); with it by how well they match, and only the first
/// `limit` of them. With `id` the list has this item, or none. 404 without `--storage`.
#[utoipa::path(
    get, path = "/v1/items", tag = "admin", params(ListQuery),
    responses(
        (status = 200, description = "The items", body = ItemList),
        (status = 404, description = "The server has no storage", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn list(
    state: web::Data<AppState>,
    query: Result<Query<ListQuery>, ApiError>,
) -> Result<web::Json<ItemList>, ApiError> {
    let storage = storage(&state)?;
    let Query(query) = query?;
    if let Some(id) = query.only_id()? {
        let items = storage.items_by_id(&[id]).await.map_err(|error| refusal(&error))?;
        return Ok(web::Json(ItemList { items }));
    }
    let ListQuery { q, category, available, limit, after, .. } = query;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::InvalidField {
            field: "limit".to_owned(),
            detail: format!("expected 1 to {MAX_LIMIT}, found {limit}"),
        });
    }
    for (field, text) in [("q", &q), ("category", &category), ("after", &after)] {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            return Err(ApiError::InvalidField {
                field: field.to_owned(),
                detail: "the character U+0000 is not allowed".to_owned(),
            });
        }
    }
    if q.is_some() && after.is_some() {
        let detail = format!(
            "expected no `after` together with `q`: a search has no pages; raise `limit` (at most \
             {MAX_LIMIT}) or add words"
        );
        return Err(ApiError::InvalidField { field: "after".to_owned(), detail });
    }
    let query = ItemQuery { text: q, category, available, limit, after };
    let items = storage.find_items(query).await.map_err(|error| refusal(&error))?;
    Ok(web::Json(ItemList { items }))
}

/// One item.
///
/// The ids `popular`, `latest` and `trending` are lists here: `GET /v1/items?id=popular` reads such an
/// item.
#[utoipa::path(
    get, path = "/v1/items/{id}", tag = "admin",
    params(("id" = String, Path, description = "The shop's id")),
    responses(
        (status = 200, description = "The item", body = serde_json::Value),
        (status = 404, description = "No such item, or no storage", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn get(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<web::Json<StoredItem>, ApiError> {
    let storage = storage(&state)?;
    let id = id_of(id)?;
    let items = storage.items_by_id(std::slice::from_ref(&id)).await;
    let item = items.map_err(|error| refusal(&error))?.into_iter().next();
    item.map(web::Json).ok_or_else(|| ApiError::ItemNotFound { item: id.to_string() })
}

/// Deletes an item, which is not recommended any more.
#[utoipa::path(
    delete, path = "/v1/items/{id}", tag = "admin",
    params(("id" = String, Path, description = "The shop's id")),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such item, or no storage", body = Problem),
    ),
    security(("key" = [])),
)]
pub(crate) async fn delete(
    state: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    remove(&state, id_of(id)?).await
}

/// As [`delete`], of an item whose id is the name of a list, the last part of the route.
pub(crate) async fn delete_named_as_list(
    state: web::Data<AppState>,
    http: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let route = http.match_pattern().unwrap_or_default();
    let id = route.rsplit('/').next().unwrap_or_default();
    remove(&state, ItemId::new(id)).await
}

async fn remove(state: &AppState, id: ItemId) -> Result<HttpResponse, ApiError> {
    let storage = storage(state)?;
    let deleted = storage.delete_items(std::slice::from_ref(&id)).await;
    if deleted.map_err(|error| refusal(&error))? == 0 {
        return Err(ApiError::ItemNotFound { item: id.to_string() });
    }
    follow(state, &storage).await;
    Ok(HttpResponse::NoContent().finish())
}

fn storage(state: &AppState) -> Result<Storage, ApiError> {
    state.storage.clone().ok_or(ApiError::NO_STORAGE)
}

fn id_of(id: web::Path<String>) -> Result<ItemId, ApiError> {
    checked(ItemId::new(id.into_inner()))
}

fn checked(id: ItemId) -> Result<ItemId, ApiError> {
    NewItem::new(id.clone()).check().map_err(|error| {
        let (field, message) = ("id".to_owned(), error.to_string());
        let detail = message.strip_prefix("id: ").unwrap_or(&message).to_owned();
        ApiError::InvalidField { field, detail }
    })?;
    Ok(id)
}

/// Lets lists follow what was just written, before the answer. What fails here is read a second
/// later.
async fn follow(state: &AppState, storage: &Storage) {
    if let Err(error) = state.items.refresh(storage).await {
        tracing::warn!(%error, "lists do not follow the items yet");
    }
}

/// The answer to a body that cannot be read beyond a line.
fn useless(LineError { line, detail }: &LineError) -> ApiError {
    ApiError::InvalidRequest { detail: format!("line {line}: {detail}") }
}

/// Lines that could not be used.
#[derive(Default)]
struct Refused {
    count: u64,
    /// The first ones.
    errors: Vec<LineError>,
}

/// A body that is read line by line.
struct Body {
    state: web::Data<AppState>,
    payload: actix_web::dev::Payload,
    lines: Lines,
    patience: std::time::Duration,
    activity: Option<Rc<Activity>>,
}

impl Body {
    fn new(
        state: &web::Data<AppState>,
        http: &HttpRequest,
        payload: web::Payload,
        lines: fn(Format) -> Lines,
    ) -> Result<Self, ApiError> {
        let format = match &*http.content_type().trim().to_ascii_lowercase() {
            "application/x-ndjson" | "application/jsonl" => Format::Json,
            "text/csv" => Format::Csv,
            _ => return Err(ApiError::UnsupportedLines),
        };
        check_encoding(http.headers())?;
        let activity = http.conn_data::<Rc<Activity>>().cloned();
        let payload = payload.into_inner();
        let patience = state.limits.body_timeout;
        Ok(Self { state: state.clone(), payload, lines: lines(format), patience, activity })
    }

    /// Hands the values of all lines to `write`, at least `size` at a time but for the last ones.
    /// Returns the lines that have none. An error says which lines were written.
    async fn in_batches<T>(
        &mut self,
        size: usize,
        parse: fn(&mut Lines, &Line) -> Result<Option<T>, Refusal>,
        write: impl AsyncFnMut(Vec<T>) -> Result<(), StorageError>,
    ) -> Result<Refused, ApiError> {
        let mut written = 0;
        let all = self.write_all(size, parse, write, &mut written).await;
        all.map_err(|error| ApiError::partly_stored(error, written))
    }

    /// As [`in_batches`](Self::in_batches). `written` is the number of the last line of the batches
    /// that were written.
    async fn write_all<T>(
        &mut self,
        size: usize,
        parse: fn(&mut Lines, &Line) -> Result<Option<T>, Refusal>,
        mut write: impl AsyncFnMut(Vec<T>) -> Result<(), StorageError>,
        written: &mut u64,
    ) -> Result<Refused, ApiError> {
        let mut refused = Refused::default();
        let mut batch = Vec::new();
        let mut read = 0;
        loop {
            let lines = self.lines().await?;
            // The client can send the rest to the next process.
            if self.state.is_refusing() {
                return Err(ApiError::ShuttingDown);
            }
            let is_last = lines.is_none();
            for line in lines.into_iter().flatten() {
                read = line.0;
                match parse(&mut self.lines, &line) {
                    Ok(value) => batch.extend(value),
                    Err(Refusal::Rest(error)) => return Err(useless(&error)),
                    Err(Refusal::Line(error)) => {
                        refused.count += 1;
                        if refused.errors.len() < MAX_ERRORS {
                            refused.errors.push(error);
                        }
                    }
                }
            }
            if batch.len() >= size || (is_last && !batch.is_empty()) {
                let batch = std::mem::take(&mut batch);
                self.set_working(true);
                let wrote = write(batch).await;
                self.set_working(false);
                wrote.map_err(|error| refusal(&error))?;
                *written = read;
            }
            if is_last {
                return Ok(refused);
            }
        }
    }

    fn set_working(&self, is_working: bool) {
        if let Some(activity) = &self.activity {
            activity.set_working(is_working);
        }
    }

    /// The next lines; `None` at the end. Each part of the body has the time of a whole body.
    async fn lines(&mut self) -> Result<Option<Vec<Line>>, ApiError> {
        let chunk = tokio::time::timeout(self.patience, next_chunk(&mut self.payload)).await;
        let chunk = chunk.map_err(|_| ApiError::InvalidRequest {
            detail: format!("expected more of the body within {} s", self.patience.as_secs()),
        })?;
        match chunk {
            Some(Ok(bytes)) => self.lines.push(&bytes).map(Some).map_err(|error| useless(&error)),
            Some(Err(error)) => Err(ApiError::InvalidRequest {
                detail: format!("the body could not be read: {error}; send it again"),
            }),
            None => {
                if let Some(line) = self.lines.finish() {
                    return Ok(Some(vec![line]));
                }
                if let Some(activity) = &self.activity {
                    activity.body_arrived();
                }
                Ok(None)
            }
        }
    }
}
