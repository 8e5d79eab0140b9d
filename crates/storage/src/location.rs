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
    /// What looks like an address with a password, but is no URL. The message does not repeat it.
    #[error(
        "expected a path, `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, found an address that does not begin with `postgres://`; write a path that has `:` and `@` with `./` or `/` before it"
    )]
    Address,
    /// The parameters of libpq (`host=… user=…`) instead of a URL. The message does not repeat them,
    /// because they may have a password.
    #[error(
        "expected a path, `sqlite:PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, found parameters such as `{parameter}=`; write them as such a URL"
    )]
    Parameters {
        /// Name of the first parameter.
        parameter: &'static str,
    },
    /// User or password have a character that ends them in a URL.
    #[error(
        "expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, found `@` after a `/`, `?` or `#`; write `/` in user and password as %2F, `?` as %3F and `#` as %23"
    )]
    Unescaped,
    /// The URL names no database. PostgreSQL would use one with the name of the user.
    #[error(
        "expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, found no database; add its name"
    )]
    NoDatabase,
    /// The URL of PostgreSQL cannot be read.
    #[error("expected `postgres://USER:PASSWORD@HOST:PORT/DATABASE`: {reason}")]
    Postgres {
        /// What is wrong.
        reason: String,
    },
}

/// Parameters of libpq with which a text begins that is meant for PostgreSQL.
const PARAMETERS: [&str; 9] =
    ["host", "hostaddr", "port", "dbname", "user", "password", "passfile", "service", "sslmode"];

/// The parameter of libpq with which a text begins.
fn first_parameter(text: &str) -> Option<&'static str> {
    let name = text.split_once('=')?.0.trim();
    PARAMETERS.into_iter().find(|parameter| *parameter == name)
}

/// Whether a path is probably a mistyped address: it begins as one, or has a colon before an `@`, as
/// between user and password.
fn is_address(path: &str) -> bool {
    if path.starts_with(['.', '/']) {
        return false;
    }
    let lower = path.trim_start().to_ascii_lowercase();
    let begins_as_one = ["postgres:", "postgresql:", "postgres/", "postgresql/", "pg:", "psql:"];
    begins_as_one.iter().any(|begin| lower.starts_with(begin))
        || path.rsplit_once('@').is_some_and(|(before, _)| before.contains(':'))
}

/// The scheme of a URL, if the part before `://` is one.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once("://")?;
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    (!scheme.is_empty() && scheme.chars().all(is_allowed)).then_some(scheme)
}

/// Whether the part after the host has an `@`, which then probably ends a password.
fn has_unescaped_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (before, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let fragment = query.split_once('#').map_or("", |(_, fragment)| fragment);
    before.contains('@')
        || fragment.contains('@')
        // A parameter may have one, if the user is where it belongs.
        || (query.contains('@') && !authority.contains('@'))
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            if has_unescaped_password(text) {
                return Err(LocationError::Unescaped);
            }
            let parsed = PgConnectOptions::from_str(text);
            let parsed = parsed.map_err(|error| LocationError::Postgres {
                // The error of the URL parser names the part, not the URL.
                reason: match error.to_string() {
                    text if text.contains("invalid port") => {
                        "found a port that is not a number from 0 to 65535".to_owned()
                    }
                    text => text,
                },
            })?;
            if parsed.get_database().is_none_or(str::is_empty) {
                return Err(LocationError::NoDatabase);
            }
            return Ok(Self::Postgres(text.to_owned()));
        }
        if let Some(parameter) = first_parameter(text) {
            return Err(LocationError::Parameters { parameter });
        }
        let path = match text.strip_prefix("sqlite:") {
            // `sqlite:///path` is the path with its slash.
            Some(rest) => rest.strip_prefix("//").unwrap_or(rest),
            None => match scheme_of(text) {
                Some(scheme) => {
                    return Err(LocationError::Scheme { scheme: scheme.to_owned() });
                }
                None => text,
            },
        };
        if path.is_empty() {
            return Err(LocationError::Empty);
        }
        if is_address(path) || (path.contains("://") && !path.starts_with(['.', '/'])) {
            return Err(LocationError::Address);
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

    #[test]
    fn a_password_that_a_url_cannot_have_is_explained() {
        for text in [
            "postgres://ann:a/b@secret@db.example/shop",
            "postgres://ann:1/b@secret@db.example/shop",
            "postgres://ann:1?secret@db.example/shop",
            "postgres://ann:1#secret@db.example/shop",
        ] {
            assert_eq!(text.parse::<Location>(), Err(LocationError::Unescaped), "{text}");
        }
        for text in [
            "postgres://ann:a%2Fb%40secret@db.example/shop",
            "postgres://ann@db.example/shop?options=-c%20search_path%3Da&application_name=a@b",
            "postgres:///shop",
        ] {
            assert!(text.parse::<Location>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_database_is_named() {
        for text in ["postgres://db.example", "postgres://ann@db.example/", "postgres://"] {
            assert_eq!(text.parse::<Location>(), Err(LocationError::NoDatabase), "{text}");
        }
    }

    #[test]
    fn a_mistyped_address_is_no_path_and_is_not_shown() {
        for text in [
            "postgres:ann:secret@db.example/shop",
            "postgres:/ann:secret@db.example/shop",
            "postgres//ann:secret@db.example/shop",
            "postgresql:ann@db.example/secret",
            "POSTGRES:secret",
            "ann:secret@db.example/shop",
            "ann:secret@db.example:5432/shop",
            "a:secret@b://db.example/shop",
            "sqlite:ann:secret@db.example/shop",
            "sqlite://ann:secret@db.example/shop",
            " postgres:ann:secret@db.example",
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error, LocationError::Address, "{text}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in ["Postgres://u:secret@h/d", "mysql://secret@h"] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(matches!(error, LocationError::Scheme { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        for text in ["./a:b@c.db", "/var/a:b@c.db", "a@b:c.db", "shop:1.db", "sqlite:../a:b@c"] {
            assert!(matches!(text.parse(), Ok(Location::Sqlite(_))), "{text}");
        }
    }

    #[test]
    fn parameters_of_libpq_are_no_path() {
        for text in ["host=h user=u password=secret", "password = secret host=h", "dbname=shop"] {
            let error = text.parse::<Location>().unwrap_err();
            assert!(matches!(error, LocationError::Parameters { .. }), "{text}: {error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let path: Location = "./host=h.db".parse().unwrap();
        assert_eq!(path, Location::Sqlite(PathBuf::from("./host=h.db")));
    }
}
