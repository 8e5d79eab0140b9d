use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use object_store::path::Path;
use url::{ParseError, Url};

/// The address of an object store with releases.
///
/// ```
/// use tandem_release_store::StoreUrl;
///
/// let store: StoreUrl = "s3://shop-releases/eu/".parse()?;
/// assert_eq!(store.to_string(), "s3://shop-releases/eu");
/// assert!("s3://key:secret@shop-releases".parse::<StoreUrl>().is_err());
/// # Ok::<(), tandem_release_store::StoreUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUrl(Arc<Parts>);

#[derive(Debug, PartialEq, Eq)]
struct Parts {
    kind: Kind,
    /// The URL without a slash at its end.
    text: String,
    /// The path below the bucket, or in the file system.
    prefix: Path,
}

/// The service behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    S3,
    Google,
    Azure,
}

/// Why a text is not a [`StoreUrl`]. No message repeats the text, because it may have a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`, `az://CONTAINER/PREFIX` or `file:///FOLDER`, found {found}"
)]
pub struct StoreUrlError {
    /// What was found instead.
    pub found: String,
}

impl StoreUrl {
    /// Whether a text is meant as a URL, not as a folder.
    #[must_use]
    pub fn is_url(text: &str) -> bool {
        text.contains("://") || Self::is_store(text)
    }

    /// Whether a text is meant as the address of an object store, not of a server. One with a slash too
    /// few is, so that the mistake is named.
    #[must_use]
    pub fn is_store(text: &str) -> bool {
        text.split_once(':').is_some_and(|(scheme, _)| kind(scheme).is_some())
    }

    /// The folder of a `file://` store.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        let url = Url::parse(&self.0.text).ok().filter(|_| self.kind() == Kind::Folder)?;
        url.to_file_path().ok()
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    pub(crate) fn prefix(&self) -> &Path {
        &self.0.prefix
    }
}

fn kind(scheme: &str) -> Option<Kind> {
    Some(match scheme {
        "file" => Kind::Folder,
        "s3" => Kind::S3,
        "gs" => Kind::Google,
        "az" => Kind::Azure,
        _ => return None,
    })
}

/// What a text is that is no URL.
pub(crate) fn no_url(error: ParseError) -> String {
    match error {
        ParseError::InvalidPort => "a port that is not a number from 0 to 65535".to_owned(),
        ParseError::RelativeUrlWithoutBase => {
            "a text without a scheme such as `https://`".to_owned()
        }
        ParseError::EmptyHost => "no host".to_owned(),
        error => format!("no URL ({error})"),
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<Self, StoreUrlError> {
        let refused = |found: &str| StoreUrlError { found: found.to_owned() };
        if let Some((scheme, rest)) = text.split_once(':')
            && kind(scheme).is_some()
            && !rest.starts_with("//")
        {
            return Err(refused(&format!("no two slashes after `{scheme}:`")));
        }
        let url = Url::parse(text).map_err(|error| refused(&no_url(error)))?;
        let scheme = url.scheme();
        let kind = kind(scheme).ok_or_else(|| refused(&format!("the scheme `{scheme}`")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "a user; give credentials in the environment, such as AWS_ACCESS_KEY_ID",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refused("a `?` or `#`"));
        }
        if url.port().is_some() {
            return Err(refused("a port; give it in the environment, such as AWS_ENDPOINT_URL"));
        }
        let has_host = url.host_str().is_some_and(|host| !host.is_empty());
        match kind {
            Kind::Folder if has_host => {
                return Err(refused("a host; write three slashes before the folder"));
            }
            Kind::Folder if url.path() == "/" => return Err(refused("no folder")),
            Kind::Folder => {}
            _ if !has_host => return Err(refused("no bucket")),
            _ => {}
        }
        let prefix = Path::from_url_path(url.path())
            .map_err(|error| refused(&format!("a path that cannot be used ({error})")))?;
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Parts { kind, text, prefix })))
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read() {
        let read = |text: &str| {
            let url: StoreUrl = text.parse().unwrap();
            (url.kind(), url.to_string(), url.prefix().to_string())
        };
        let expected = |kind, text: &str, prefix: &str| (kind, text.to_owned(), prefix.to_owned());
        assert_eq!(read("s3://shop"), expected(Kind::S3, "s3://shop", ""));
        assert_eq!(read("s3://shop/a/b/"), expected(Kind::S3, "s3://shop/a/b", "a/b"));
        assert_eq!(read("gs://shop/a"), expected(Kind::Google, "gs://shop/a", "a"));
        assert_eq!(read("az://box/a"), expected(Kind::Azure, "az://box/a", "a"));
        let folder = read("file:///srv/my%20shop");
        assert_eq!(folder, expected(Kind::Folder, "file:///srv/my%20shop", "srv/my shop"));
        let folder = |text: &str| text.parse::<StoreUrl>().unwrap().folder();
        assert_eq!(folder("file:///srv/my%20shop/"), Some("/srv/my shop".into()));
        assert_eq!(folder("s3://shop/a"), None);
    }

    #[test]
    fn other_texts_are_refused_without_repeating_them() {
        for (text, found) in [
            ("shop", "without a scheme"),
            ("s3:/tdm_secret/x", "no two slashes after `s3:`"),
            ("s3:tdm_secret", "no two slashes after `s3:`"),
            ("file:/srv/shop", "no two slashes after `file:`"),
            ("s3://shop:99999/x", "a port that is not a number"),
            ("ftp://tdm_secret/x", "the scheme `ftp`"),
            ("s3://", "no bucket"),
            ("s3:///x", "no bucket"),
            ("s3://key:tdm_secret@shop", "a user"),
            ("s3://shop?token=tdm_secret", "a `?`"),
            ("s3://shop:9000/x", "a port"),
            ("file://srv/shop", "a host"),
            ("file:///", "no folder"),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(error.contains(found), "{text}: {error}");
            assert!(!error.contains("tdm_secret"), "{text}: {error}");
        }
        assert!(StoreUrl::is_store("az://x") && !StoreUrl::is_store("https://rec.example"));
        assert!(StoreUrl::is_url("s3:/x") && !StoreUrl::is_url("a:b") && !StoreUrl::is_url("s3/x"));
    }
}
