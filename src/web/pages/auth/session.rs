//! Who is signed in: the cookies, and the check in front of every page.

use std::collections::HashMap;
use std::net::IpAddr;

use axum::Extension;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Redirect, Response};
use cookie::{Cookie, SameSite};

use super::kept;
use crate::domain::DEFAULT_SITE;
use crate::domain::session::{Role, Source};
use crate::skycms::SessionCheck;
use crate::store::{Beginning, PasswordShown, Session, TokenHash, hash};
use crate::web::http::client::ClientAddress;
use crate::web::http::error::{Error, Result};
use crate::web::pages::signed_in::{Reader, SignedIn};
use crate::web::pages::views::SignInElsewhere;
use crate::web::pages::visit::see;
use crate::web::pages::words::account as words;
use crate::web::state::AppState;

/// The session of a browser tab.
const SESSION: &str = "session";
/// The session of a frame in SkyCMS. It has its own name because a browser may send both.
const FRAMED: &str = "framed-session";
/// Shows that this browser has signed in before.
const DEVICE: &str = "device";

/// Who made this request, if they are signed in.
pub(crate) async fn signed_in(
    state: &AppState,
    headers: &HeaderMap,
    ClientAddress(from): ClientAddress,
) -> Result<Option<SignedIn>> {
    let found = |session, token| SignedIn {
        session,
        token,
        from,
        site: None,
    };
    for name in [FRAMED, SESSION] {
        let Some(token) = cookie(state, headers, name) else {
            continue;
        };
        let (issuer, now) = (state.issuer(), state.clock.now());
        let session = state
            .store
            .use_session(&token, issuer.as_ref(), now)
            .await?;
        if let Some(session) = session {
            return Ok(Some(found(session, Some(token))));
        }
    }
    let Some(skycms) = &state.skycms else {
        return Ok(None);
    };
    let SessionCheck::Valid(role) = skycms.check_session(headers).await else {
        return Ok(None);
    };
    let user = words::somebody_of_skycms(role);
    let session = Session {
        framed: is_framed(state, headers),
        ..Session::of(user, role, Source::SkyCms)
    };
    Ok(Some(found(session, None)))
}

/// Lets through whoever is signed in and has the role `needed`, and marks the response as theirs.
pub(crate) async fn require(
    State((state, needed)): State<(AppState, Role)>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let client = state.client(&parts.extensions, &parts.headers);
    let (user, answer) = match signed_in(&state, &parts.headers, client).await {
        Err(error) => (None, error.into_response()),
        Ok(None) => (
            None,
            ask_to_sign_in(&state, &parts, body).await.into_response(),
        ),
        Ok(Some(mut user)) => match authorize(&state, &mut parts, needed, &mut user).await {
            Err(error) => (Some(user), error.into_response()),
            Ok(()) => {
                parts.extensions.insert(user.clone());
                let answer = match kept::restore(&state, &mut parts, body).await {
                    Ok(body) => next.run(Request::from_parts(parts, body)).await,
                    Err(error) => error.into_response(),
                };
                (Some(user), answer)
            }
        },
    };
    (Extension(Reader(user)), answer).into_response()
}

/// The one place that decides who may do what at which site: pages get the site from here.
async fn authorize(
    state: &AppState,
    parts: &mut Parts,
    needed: Role,
    user: &mut SignedIn,
) -> Result<()> {
    if needed == Role::Admin && user.session.role != Role::Admin {
        return Err(Error::Forbidden);
    }
    let params = Path::<HashMap<String, String>>::from_request_parts(parts, &()).await;
    // An address that is not UTF-8 cannot name an existing site.
    let Path(mut params) = params.map_err(|_| Error::NotFound)?;
    let named = params.remove("site");
    let site = state
        .directory
        .site(named.as_deref().unwrap_or(DEFAULT_SITE));
    user.site = site.filter(|site| user.session.sees(site));
    if named.is_some() && user.site.is_none() {
        return Err(Error::NotFound);
    }
    Ok(())
}

/// A page leads to the sign-in and back, a form is kept until its sender has signed in, and a frame
/// has to be opened by SkyCMS again.
async fn ask_to_sign_in(state: &AppState, parts: &Parts, body: Body) -> Result<Response> {
    if asks_for_events(&parts.headers) {
        return Err(Error::NotSignedIn);
    }
    // A tab of the site that has the frame may send its cookie too; a sign-in is of use there.
    let was_framed = cookie(state, &parts.headers, FRAMED).is_some();
    if is_frame(&parts.headers) || (was_framed && !is_tab(&parts.headers)) {
        let kept = kept::keep(state, parts, body).await?;
        let kept = kept.ok_or(Error::FrameEnded)?;
        return kept::wait_for_skycms(state, parts, kept, SignInElsewhere::default());
    }
    let device = known_device(state, &parts.headers).await?;
    let kept = match (&state.skycms, &device) {
        (None, None) => None,
        _ => kept::keep(state, parts, body).await?,
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = match parts.method {
        Method::GET => state.public.below(path),
        _ => "/",
    };
    let mut elsewhere = SignInElsewhere {
        by_password: device.is_some(),
        ..SignInElsewhere::default()
    };
    if let Some(skycms) = &state.skycms {
        match skycms.check_session(&parts.headers).await {
            SessionCheck::Redirects(address) => {
                let next = format!("{}{path}", state.public.prefix);
                elsewhere.address = Some(skycms.way_in(&address, &next));
            }
            SessionCheck::NoAnswer => elsewhere.why_not = Some(words::WhyNot::Silent),
            SessionCheck::ProvesNothing => elsewhere.why_not = Some(words::WhyNot::ProvesNothing),
            SessionCheck::Valid(_) | SessionCheck::Refused => {
                elsewhere.why_not = Some(words::WhyNot::Refused);
            }
        }
    }
    if let Some(kept) = kept {
        return match state.skycms {
            Some(_) => kept::wait_for_skycms(state, parts, kept, elsewhere),
            None => kept::sign_in_first(state, kept).await,
        };
    }
    if let Some(address) = elsewhere.address {
        return Ok(Redirect::to(&address).into_response());
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if path.len() > 1 {
        query.append_pair("next", path);
    }
    if let Some(why_not) = elsewhere.why_not {
        query.append_pair("skycms", why_not.into());
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    Ok(see(state, &format!("/sign-in{mark}{query}")))
}

/// Whether the request comes from the script and asks for server-sent events.
pub(crate) fn asks_for_events(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .is_some_and(|kinds| kinds.as_bytes().starts_with(b"text/event-stream"))
}

/// Whether the session is one of a frame, where frames are allowed.
pub(crate) fn is_framed(state: &AppState, headers: &HeaderMap) -> bool {
    !state.access.embed_origins.is_empty() && is_frame(headers)
}

/// Whether the browser says that the page will be in a frame.
fn is_frame(headers: &HeaderMap) -> bool {
    is_for(headers, "iframe") || is_for(headers, "frame")
}

/// Whether the browser says that the page will be in a tab of its own.
fn is_tab(headers: &HeaderMap) -> bool {
    is_for(headers, "document")
}

fn is_for(headers: &HeaderMap, place: &str) -> bool {
    let said = headers.get("sec-fetch-dest");
    said.is_some_and(|said| said == place)
}

/// Signs somebody in: a new session with a new token. Whatever session the browser had is ended.
/// Whoever showed a password comes with what was right, and if more is asked for by now, has to
/// sign in again.
pub(crate) async fn begin(
    state: &AppState,
    headers: &HeaderMap,
    from: IpAddr,
    session: &Session,
    password: Option<&PasswordShown>,
    mut response: Response,
) -> Result<Response> {
    end_sent_sessions(state, headers).await?;
    let token = state.clock.token();
    let beginning = Beginning {
        id: state.clock.id(),
        address: from,
        issuer: match session.source {
            Source::Password => None,
            Source::SkyCms => state.issuer(),
        },
        at: state.clock.now(),
    };
    let has_begun = state
        .store
        .add_session(&hash(&token), session, password, &beginning)
        .await?;
    if !has_begun {
        return Ok(see(state, "/sign-in"));
    }
    let lifetime = session.source.lifetime();
    if session.framed {
        set(state, &mut response, FRAMED, token, lifetime);
    } else {
        set(state, &mut response, SESSION, token, lifetime);
        forget(state, &mut response, FRAMED);
    }
    if session.source == Source::Password {
        let known = known_device(state, headers).await?;
        let token = known.and_then(|_| sent(state, headers, DEVICE));
        let token = token.unwrap_or_else(|| state.clock.token());
        let (device, now) = (hash(&token), state.clock.now());
        // Counted from now, also where the browser has it already.
        let a_year = time::Duration::days(365);
        set(state, &mut response, DEVICE, token, a_year);
        state.store.remember_device(&device, now).await?;
    }
    Ok(response)
}

/// Signs out: ends the sessions that the browser has, and deletes their cookies.
pub(crate) async fn end(
    state: &AppState,
    headers: &HeaderMap,
    mut response: Response,
) -> Result<Response> {
    end_sent_sessions(state, headers).await?;
    for name in [SESSION, FRAMED] {
        forget(state, &mut response, name);
    }
    Ok(response)
}

async fn end_sent_sessions(state: &AppState, headers: &HeaderMap) -> Result<()> {
    for name in [SESSION, FRAMED] {
        if let Some(token) = cookie(state, headers, name) {
            state.store.end_session(&token).await?;
        }
    }
    Ok(())
}

/// The cookie that shows that the browser has signed in before, if it is genuine.
pub(crate) async fn known_device(
    state: &AppState,
    headers: &HeaderMap,
) -> Result<Option<TokenHash>> {
    match cookie(state, headers, DEVICE) {
        Some(device) if state.store.knows_device(&device, state.clock.now()).await? => {
            Ok(Some(device))
        }
        _ => Ok(None),
    }
}

/// The session of a browser tab, which may have ended.
pub(crate) fn of_tab(state: &AppState, headers: &HeaderMap) -> Option<TokenHash> {
    cookie(state, headers, SESSION)
}

/// The hash of the token in a cookie.
fn cookie(state: &AppState, headers: &HeaderMap, name: &str) -> Option<TokenHash> {
    sent(state, headers, name).map(|token| hash(&token))
}

/// The token in a cookie. Those of other programs on the same host come in one header with ours,
/// and may be in any characters.
fn sent(state: &AppState, headers: &HeaderMap, name: &str) -> Option<String> {
    let name = state.public.cookie_name(name);
    headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| Cookie::split_parse(String::from_utf8_lossy(value.as_bytes())))
        .filter_map(Result::ok)
        .find(|cookie| cookie.name() == name)
        .map(|cookie| cookie.value().to_owned())
}

fn set(
    state: &AppState,
    response: &mut Response,
    name: &str,
    value: String,
    max_age: time::Duration,
) {
    let https = state.public.is_https();
    // A frame in another site gets cookies only with SameSite=None, which browsers accept only if
    // they are secure. In development, both are `localhost`, which is one site.
    let framed = name == FRAMED && https;
    let cookie = Cookie::build((state.public.cookie_name(name), value))
        .path(state.public.cookie_path().to_owned())
        .http_only(true)
        .secure(https)
        .same_site(if framed {
            SameSite::None
        } else {
            SameSite::Lax
        })
        .partitioned(framed)
        .max_age(max_age)
        .build();
    if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}

fn forget(state: &AppState, response: &mut Response, name: &str) {
    set(state, response, name, String::new(), time::Duration::ZERO);
}
