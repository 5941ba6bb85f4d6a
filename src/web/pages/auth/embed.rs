//! Signing in from SkyCMS, with a short-lived token that SkyCMS signs and that works once.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use crate::admin::audit::{self, Actor};
use crate::domain::AuditAction;
use crate::domain::session::{Role, Source};
use crate::store::{Session, SiteId, hash};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::{Error, Result};
use crate::web::http::extract::{Form, Query};
use crate::web::pages::auth::session;
use crate::web::pages::layout::{home, layout};
use crate::web::pages::views::{ConfirmPage, Nav};
use crate::web::pages::visit::{html, see};
use crate::web::pages::words::account::{self as words, ticket};
use crate::web::state::AppState;

/// Who the token must be for.
const AUDIENCE: &str = "skycms-cdn";
/// How far ahead a token may expire.
const MAX_LIFETIME: Duration = Duration::minutes(5);
/// How far SkyCMS's clock may be ahead.
const SKEW: Duration = Duration::minutes(1);
/// The longest `sub` and `jti` that are accepted, in bytes.
const MAX_TEXT_BYTES: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Ticket {
    #[serde(default)]
    token: SecretString,
    theme: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    role: OneOrMany,
    jti: String,
    iat: f64,
    exp: f64,
    #[serde(default)]
    nbf: f64,
    /// The sites that its bearer may see; `None` for `default`.
    sites: Option<OneOrMany>,
}

/// A claim as .NET writes it: a string if there is one value, an array if there are several.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// Seconds since 1970, which may have a fraction (RFC 7519, 2).
fn numeric_date(seconds: f64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::saturating_seconds_f64(seconds))
}

/// `GET /embed?token=<JWT>&theme=dark`: signs in, or asks first if somebody else is signed in. Any
/// website can send a browser here, and its user must notice that they are about to become somebody
/// else. The theme, `dark` or `light`, is optional.
pub(crate) async fn sign_in(
    State(state): State<AppState>,
    client: ClientAddress,
    headers: HeaderMap,
    Query(ticket): Query<Ticket>,
) -> Result<Response> {
    let (session, claims) = read(&state, &headers, &ticket)?;
    let here = session::signed_in(&state, &headers, client).await?;
    match here {
        Some(here) if !is_same(&here.session, &session) => html(&ConfirmPage {
            layout: layout(&state, Some(&here), None, Nav::Elsewhere),
            question: words::change_user(&here.session.user, &session.user),
            path: "/embed".into(),
            fields: [("token", ticket.token.expose_secret().to_owned())]
                .into_iter()
                .chain(ticket.theme.map(|theme| ("theme", theme)))
                .collect(),
            cancel: Some("/activity"),
        }),
        _ => enter(&state, client, &headers, session, &claims).await,
    }
}

/// `POST /embed`: signs in, whoever is signed in now.
pub(crate) async fn change_user(
    State(state): State<AppState>,
    client: ClientAddress,
    headers: HeaderMap,
    Form(ticket): Form<Ticket>,
) -> Result<Response> {
    let (session, claims) = read(&state, &headers, &ticket)?;
    enter(&state, client, &headers, session, &claims).await
}

fn is_same(here: &Session, coming: &Session) -> bool {
    (&here.user, here.source) == (&coming.user, coming.source)
}

fn read(state: &AppState, headers: &HeaderMap, ticket: &Ticket) -> Result<(Session, Claims)> {
    let secret = state.access.embed_secret.as_ref().ok_or(Error::NotFound)?;
    let (session, claims) =
        accept(secret, &ticket.token, state.clock.now()).map_err(Error::TicketRefused)?;
    let theme = ticket.theme.as_deref().map(str::parse).transpose();
    let theme = theme.map_err(|_| Error::BadRequest("`theme` is `dark` or `light`".to_owned()))?;
    let session = Session {
        framed: session::is_framed(state, headers),
        theme,
        ..session
    };
    Ok((session, claims))
}

async fn enter(
    state: &AppState,
    ClientAddress(from): ClientAddress,
    headers: &HeaderMap,
    session: Session,
    claims: &Claims,
) -> Result<Response> {
    let token = hash(&claims.jti);
    let expires = numeric_date(claims.exp);
    if !state.store.use_embed_token(&token, expires).await? {
        return Err(Error::TicketRefused(ticket::USED));
    }
    let sites = claims.sites.as_ref();
    let sites = sites.map(|names| known_sites(state, names.as_slice()));
    if sites.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::TicketRefused(ticket::NO_SITE));
    }
    let session = Session { sites, ..session };
    let actor = Actor {
        name: &session.user,
        source: Some(session.source),
        from: &from.to_string(),
    };
    let role = Some(words::came_as(session.role).into());
    let action = AuditAction::CameFromSkyCms;
    audit::record(&state.store, &state.clock, actor, action, None, role).await;
    let page = match session.role {
        Role::Admin => "/settings/cdn",
        Role::Editor => "/activity",
    };
    let page = see(state, &format!("{}{page}", home(state, &session)));
    session::begin(state, headers, from, &session, None, page).await
}

/// The sites with these names. A session keeps their IDs: it still sees a site that is renamed, and
/// does not see a new site that takes an old name.
fn known_sites(state: &AppState, names: &[String]) -> Vec<SiteId> {
    let known = names.iter().filter_map(|name| state.directory.site(name));
    known.map(|site| site.id).collect()
}

const fn refusal(error: &ErrorKind) -> &'static str {
    match error {
        ErrorKind::InvalidSignature => ticket::FORGED,
        ErrorKind::InvalidAudience => ticket::OTHER_AUDIENCE,
        ErrorKind::Json(_) | ErrorKind::MissingRequiredClaim(_) => ticket::OTHER_CLAIMS,
        _ => ticket::NO_TOKEN,
    }
}

/// Who the token signs in, or why nobody.
fn accept(
    secret: &SecretString,
    token: &SecretString,
    now: OffsetDateTime,
) -> Result<(Session, Claims), &'static str> {
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["aud", "exp", "sub"]);
    // Times are compared below, with the clock of the service.
    rules.validate_exp = false;
    let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
    let TokenData { header, claims } =
        jsonwebtoken::decode::<Claims>(token.expose_secret(), &key, &rules)
            .map_err(|error| refusal(error.kind()))?;
    if header.crit.is_some() {
        return Err(ticket::CRITICAL);
    }
    if header
        .typ
        .is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT"))
    {
        return Err(ticket::OTHER_TYPE);
    }
    let [issued, begins, expires] = [claims.iat, claims.nbf, claims.exp].map(numeric_date);
    if expires <= now {
        return Err(ticket::EXPIRED);
    }
    if expires > now.saturating_add(MAX_LIFETIME + SKEW) {
        return Err(ticket::TOO_LONG);
    }
    let latest = now.saturating_add(SKEW);
    if issued > latest || begins > latest || expires - issued > MAX_LIFETIME {
        return Err(ticket::NOT_YET);
    }
    let is_name = |text: &str| {
        !text.trim().is_empty()
            && text.len() <= MAX_TEXT_BYTES
            && !text.chars().any(char::is_control)
    };
    if !is_name(&claims.sub) || !is_name(&claims.jti) {
        return Err(ticket::NAMELESS);
    }
    let has = |role: &str| claims.role.as_slice().iter().any(|its| its == role);
    let role = if has("Administrators") {
        Role::Admin
    } else if has("Editors") {
        Role::Editor
    } else {
        return Err(ticket::NO_ROLE);
    };
    let session = Session::of(&claims.sub, role, Source::SkyCms);
    Ok((session, claims))
}
