//! SkyCMS's sign-in: a short-lived token that SkyCMS signs, good for one session.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::store::{Role, Session, SiteId, Source, hash};
use crate::web::AppState;
use crate::web::http::client::ClientAddress;
use crate::web::http::extract::Query;
use crate::web::pages::audit::{self, Deed};
use crate::web::pages::auth::session;
use crate::web::pages::words::account::{self as words, ticket};
use crate::web::pages::{PageError, PageFailure, PageResult, home, see};

/// Whom the token must be meant for.
const AUDIENCE: &str = "skycms-cdn";
/// How far ahead a token may expire.
const LONGEST: Duration = Duration::minutes(5);
/// How far SkyCMS's clock may be ahead.
const SKEW: Duration = Duration::minutes(1);
/// The longest name and number that are taken, in bytes.
const LONGEST_TEXT: usize = 200;

/// The query.
#[derive(Deserialize)]
pub(crate) struct Ticket {
    #[serde(default)]
    token: SecretString,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: String,
    jti: String,
    iat: i64,
    exp: i64,
    /// The sites that its holder sees; none: `default`.
    sites: Option<Vec<String>>,
}

/// `GET /embed?token=<JWT>`.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    ClientAddress(from): ClientAddress,
    headers: HeaderMap,
    Query(ticket): Query<Ticket>,
) -> PageResult {
    let failed = |error| PageFailure::of(&state, None, error);
    let Some(secret) = &state.access.embed_secret else {
        return Err(failed(PageError::NotFound));
    };
    let signed_in = async {
        let now = state.clock.now();
        let (session, claims) = accept(secret, &ticket.token, now).map_err(|why| {
            tracing::warn!(%from, why, "a token of SkyCMS was refused");
            PageError::TicketRefused
        })?;
        let expires_at = OffsetDateTime::from_unix_timestamp(claims.exp)
            .map_err(|_| PageError::TicketRefused)?;
        if !state
            .store
            .use_embed_token(&hash(&claims.jti), expires_at)
            .await?
        {
            tracing::warn!(%from, "a token of SkyCMS was used twice");
            return Err(PageError::TicketRefused);
        }
        let sites = claims
            .sites
            .as_ref()
            .map(|names| known_sites(&state, names));
        if sites.as_ref().is_some_and(Vec::is_empty) {
            tracing::warn!(%from, "a token of SkyCMS names no site that is here");
            return Err(PageError::TicketRefused);
        }
        let session = Session {
            sites,
            framed: !state.access.embed_origins.is_empty() && session::is_frame(&headers),
            ..session
        };
        audit::write(
            &state,
            &session.user,
            from,
            Deed::CameFromSkyCms,
            Some(words::came_as(session.role).into()),
        )
        .await?;
        let page = match session.role {
            Role::Admin => "/settings/cdn",
            Role::Editor => "/activity",
        };
        let page = format!("{}{page}", home(&state, &session));
        let response: Response =
            session::begin(&state, &headers, &session, see(&state, &page)).await?;
        Ok(response)
    };
    let mut response = signed_in.await.map_err(failed)?;
    // The token is used up; still, it is nobody's business.
    response.headers_mut().insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    Ok(response)
}

/// The sites of these names. Their numbers are kept, so that who sees a site sees it under its next
/// name too, and a new site of an old name is another one.
fn known_sites(state: &AppState, names: &[String]) -> Vec<SiteId> {
    let known = names.iter().filter_map(|name| state.directory.site(name));
    known.map(|site| site.id).collect()
}

/// Whom the token signs in, or why nobody.
fn accept(
    secret: &SecretString,
    token: &SecretString,
    now: OffsetDateTime,
) -> Result<(Session, Claims), &'static str> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["aud", "exp", "sub"]);
    // Times are compared below, with the clock that is handed in.
    rules.validate_exp = false;
    let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
    let claims = jsonwebtoken::decode::<Claims>(token.expose_secret(), &key, &rules)
        .map_err(|_| ticket::FORGED)?
        .claims;
    let now = now.unix_timestamp();
    if claims.exp <= now {
        return Err(ticket::EXPIRED);
    }
    if claims.exp > now.saturating_add((LONGEST + SKEW).whole_seconds()) {
        return Err(ticket::TOO_LONG);
    }
    if claims.iat > now.saturating_add(SKEW.whole_seconds())
        || claims.exp.saturating_sub(claims.iat) > LONGEST.whole_seconds()
    {
        return Err(ticket::NOT_YET);
    }
    let is_name = |text: &str| {
        !text.trim().is_empty() && text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control)
    };
    if !is_name(&claims.sub) || !is_name(&claims.jti) {
        return Err(ticket::NAMELESS);
    }
    let role = match claims.role.as_str() {
        "Administrators" => Role::Admin,
        "Editors" => Role::Editor,
        _ => return Err(ticket::NO_ROLE),
    };
    let session = Session {
        user: claims.sub.clone(),
        role,
        source: Source::SkyCms,
        framed: false,
        sites: None,
    };
    Ok((session, claims))
}
