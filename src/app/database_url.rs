//! What `DATABASE_URL` says.

use std::str::FromStr as _;

use secrecy::{ExposeSecret as _, SecretString};
use sqlx::postgres::PgConnectOptions;
use url::Url;

use super::AppError;

/// The parameters that sqlx knows, besides `options[…]`.
const PARAMETERS: &[&str] = &[
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// How to reach the database, and the names of the parameters that nobody here knows.
pub(super) fn connect_options(
    url: &SecretString,
) -> Result<(PgConnectOptions, Vec<String>), AppError> {
    let url = url.expose_secret().parse::<Url>();
    let mut url = url.map_err(|error| AppError::DatabaseUrl(error.to_string()))?;
    let is_known = |name: &str| PARAMETERS.contains(&name) || name.starts_with("options[");
    let (known, unknown): (Vec<_>, Vec<_>) = url
        .query_pairs()
        .into_owned()
        .partition(|(name, _)| is_known(name));
    let is_password = |(name, value): &(String, String)| name.contains('@') || value.contains('@');
    if unknown.iter().any(is_password) {
        // Not encoded, and so cut at its `?`: no name here is fit for the log.
        let why = "a `?` stands before an `@`".to_owned();
        return Err(AppError::DatabaseUrl(why));
    }
    if !unknown.is_empty() {
        // sqlx would log their values, and one may be a password.
        url.query_pairs_mut().clear().extend_pairs(known);
    }
    let options = PgConnectOptions::from_str(url.as_str()).map_err(|error| {
        AppError::DatabaseUrl(match error {
            sqlx::Error::Configuration(cause) => cause.to_string(),
            error => error.to_string(),
        })
    })?;
    // The brackets of IPv6 belong to the URL: no host is found by them, nor has a certificate any.
    let host = options.get_host().strip_prefix('[');
    let host = host
        .and_then(|host| host.strip_suffix(']'))
        .map(str::to_owned);
    let options = match host {
        Some(host) => options.host(&host),
        None => options,
    };
    Ok((options, unknown.into_iter().map(|(name, _)| name).collect()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use sqlx::postgres::PgSslMode;

    use super::*;

    #[test]
    fn an_address_of_ipv6_is_reached_without_its_brackets() {
        for (url, host) in [
            (
                "postgres://cdn@[2001:db8::5]:6432/cdn?sslmode=require",
                "2001:db8::5",
            ),
            ("postgres://cdn@192.0.2.5:6432/cdn", "192.0.2.5"),
            ("postgres://cdn@db.example.com:6432/cdn", "db.example.com"),
        ] {
            let (options, unknown) = connect_options(&SecretString::from(url)).unwrap();
            assert_eq!((options.get_host(), options.get_port()), (host, 6432));
            assert!(unknown.is_empty(), "{unknown:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_left_out_and_the_rest_stays() {
        let url =
            "postgres://cdn@db.example.com/cdn?sslmode=require&sslpassword=violet&dbname=a%26b";
        let (options, unknown) = connect_options(&SecretString::from(url)).unwrap();
        assert_eq!(unknown, ["sslpassword"]);
        assert!(matches!(options.get_ssl_mode(), PgSslMode::Require));
        assert_eq!(options.get_database(), Some("a&b"));
    }

    #[test]
    fn a_password_that_is_not_encoded_is_not_named() {
        for url in [
            "postgres://cdn:12?violet@db.example.com/cdn",
            "postgres://cdn:12?vio=let@db.example.com/cdn",
            "postgres://cdn:12?vio&let@db.example.com/cdn?sslmode=require",
        ] {
            let refused = connect_options(&SecretString::from(url)).unwrap_err();
            let said = refused.to_string();
            assert!(said.contains("write `#`, `/`, `?` and `@` as"), "{said}");
            assert!(!said.contains("vio") && !said.contains("let"), "{said}");
        }
    }
}
