use std::{fmt, path::PathBuf, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Where a storage is: a file of SQLite or a database of PostgreSQL.
///
/// ```
/// use tandem_storage::Location;
///
/// let file: Location = "sqlite:shop.db".parse()?;
/// assert_eq!(file, "shop.db".parse()?);
/// let server: Location = "postgres://shop:secret@db.example/shop".parse()?;
/// assert_eq!(server.to_string(), "postgres://db.example:5432/shop");
/// # Ok::<(), tandem_storage::LocationError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A file of SQLite, created if it does not exist.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL database, which must exist.
    Postgres(String),
}

/// Why a text is not a [`Location`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// There is no path.
    #[error("expected a path, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, found no path")]
    Empty,
    /// Another kind of URL. The message does not repeat it, because it may have a password.
    #[error("expected a path, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`, found `{scheme}:`")]
    Scheme {
        /// The part before the colon.
        scheme: String,
    },
    /// The URL of PostgreSQL cannot be read.
    #[error("expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE`: {reason}")]
    Postgres {
        /// What is wrong.
        reason: String,
    },
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let parsed = PgConnectOptions::from_str(text);
            let parsed = parsed.map_err(|error| LocationError::Postgres {
                // The error of the URL parser names the part, not the URL.
                reason: error.to_string(),
            })?;
            let _ = parsed;
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = match text.strip_prefix("sqlite:") {
            // `sqlite:///path` is the path with its slash.
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => match text.split_once("://") {
                Some((scheme, _)) => {
                    return Err(LocationError::Scheme { scheme: scheme.to_owned() });
                }
                None => text,
            },
        };
        if path.is_empty() {
            return Err(LocationError::Empty);
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// Without user and password.
impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => match PgConnectOptions::from_str(url) {
                Ok(options) => {
                    write!(f, "postgres://{}:{}", options.get_host(), options.get_port())?;
                    options.get_database().map_or(Ok(()), |name| write!(f, "/{name}"))
                }
                Err(_) => f.write_str("postgres:"),
            },
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_urls_are_told_apart() {
        let sqlite = |text: &str| match text.parse().unwrap() {
            Location::Sqlite(path) => path.display().to_string(),
            other @ Location::Postgres(_) => panic!("{other}"),
        };
        assert_eq!(sqlite("shop.db"), "shop.db");
        assert_eq!(sqlite("sqlite:a/shop.db"), "a/shop.db");
        assert_eq!(sqlite("sqlite:///var/shop.db"), "/var/shop.db");
        assert_eq!(sqlite("sqlite:/var/a b.db"), "/var/a b.db");
        for empty in ["", "sqlite:", "sqlite://"] {
            assert_eq!(empty.parse::<Location>(), Err(LocationError::Empty));
        }
        let error = "mysql://root:secret@h/d".parse::<Location>().unwrap_err();
        assert_eq!(error, LocationError::Scheme { scheme: "mysql".to_owned() });
    }

    #[test]
    fn a_password_is_never_shown() {
        let location: Location = "postgresql://ann:secret@db.example/shop".parse().unwrap();
        let shown = format!("{location} {location:?}");
        assert!(!shown.contains("secret") && !shown.contains("ann"), "{shown}");
        assert!(shown.contains("db.example:5432/shop"), "{shown}");
        let error = "postgres://ann:secret@db.example:port/shop".parse::<Location>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
