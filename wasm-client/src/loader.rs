//! Fetches files of a release: the model when a session is opened, cells later.

use std::cell::RefCell;

use futures_util::future::try_join;
use tandem_protocol::Artifact;

use crate::{
    artifacts::{self, Files, Release, Table},
    error::Failure,
    host::{Host, HttpRequest, HttpResponse},
    response,
    server_link::ServerLink,
};

/// Time limit for files, which are larger than lists and fetched once.
pub(crate) const LOAD_TIMEOUT_MS: u32 = 60_000;

/// Fetches and verifies files.
pub(crate) struct Loader<'a, H: Host> {
    pub(crate) host: &'a H,
    pub(crate) link: &'a RefCell<ServerLink<H::Abort>>,
    pub(crate) server: &'a str,
    /// Aborts all of its requests; `None` if they need not be aborted. A time limit of one
    /// request then aborts only that one.
    pub(crate) abort: Option<H::Abort>,
}

impl<H: Host> Loader<'_, H> {
    /// `GET` of a path that is not a file of a release.
    pub(crate) async fn get(&self, path: &str, why: &str) -> Result<HttpResponse, Failure> {
        let request = HttpRequest {
            url: format!("{}{path}", self.server),
            timeout_ms: LOAD_TIMEOUT_MS,
            why: why.to_owned(),
            ..HttpRequest::default()
        };
        self.send(&request, path).await
    }

    /// A verified file of the release in the folder `release`. A damaged copy in the cache is
    /// fetched again. `index`: the hash of the cell index, for a cell.
    pub(crate) async fn file(
        &self,
        release: &str,
        artifact: &Artifact,
        index: Option<&str>,
    ) -> Result<Vec<u8>, Failure> {
        let path = format!("/artifacts/{release}/{}", artifact.path);
        let why = if index.is_some() { "cell" } else { "the small model" };
        let mut request = HttpRequest {
            url: format!("{}{path}", self.server),
            timeout_ms: LOAD_TIMEOUT_MS,
            why: why.to_owned(),
            sha256: Some(artifact.sha256.clone()),
            cell_index: index.map(str::to_owned),
            ..HttpRequest::default()
        };
        let mut response = self.send(&request, &path).await?;
        if response.cached && artifacts::verify(&response.body, artifact).is_err() {
            request.fresh = true;
            response = self.send(&request, &path).await?;
        }
        artifacts::verify(&response.body, artifact)?;
        Ok(response.body)
    }

    /// All files of a release that the device loads when a session is opened.
    pub(crate) async fn files(&self, release: &Release) -> Result<Files, Failure> {
        let manifest = &release.manifest;
        let file = |artifact| self.file(&release.hash, artifact, None);
        let body = file(&manifest.body);
        let table = async {
            Ok(match release.table() {
                Table::None => Table::None,
                Table::Cells(index) => Table::Cells(file(index).await?),
                Table::Whole(()) => {
                    Table::Whole(try_join(file(&manifest.rows), file(&manifest.items)).await?)
                }
            })
        };
        let (body, table) = try_join(body, table).await?;
        Ok(Files { body, table })
    }

    async fn send(&self, request: &HttpRequest, path: &str) -> Result<HttpResponse, Failure> {
        let abort = self.abort.clone().unwrap_or_else(|| self.host.new_abort());
        let response = self.host.send(request, &abort).await?;
        if !response.cached {
            self.link.borrow_mut().bytes_down += response.body.len() as u64;
        }
        response::expect_ok(&response, &format!("GET {path}"))?;
        Ok(response)
    }
}
