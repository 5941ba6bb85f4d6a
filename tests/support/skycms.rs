//! A stand-in for SkyCMS: its sign-in, its menu, and the pages that it opens by cookie and role.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, Uri, header};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How SkyCMS is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// As it should be.
    #[default]
    Well,
    /// Every page is an error.
    Broken,
    /// No page is ever answered.
    Silent,
    /// Every page is open to everybody.
    Open,
    /// It leads to another server.
    Elsewhere,
    /// It answers with a bare status in place of leading anywhere.
    Bare(StatusCode),
}

#[derive(Default)]
struct Inside {
    /// The role of whoever has that session.
    sessions: HashMap<String, String>,
    /// The page and the headers of each request for one of the pages that tell a role.
    asked: Vec<(String, HeaderMap)>,
    mood: Mood,
    /// Where it leads in that mood.
    elsewhere: String,
}

type Shared = Arc<Mutex<Inside>>;

/// Ends when dropped.
pub(crate) struct SkyCms {
    pub(crate) url: String,
    inside: Shared,
    serving: JoinHandle<()>,
}

impl Drop for SkyCms {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl SkyCms {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inside = Shared::default();
        let pages = Router::new()
            .route("/Cosmos___Settings/CDN", get(administrators_page))
            .route("/Templates", get(editors_page))
            .route("/Editor/Index", get(menu))
            .route("/Identity/Account/Login", get(sign_in).post(signed_in))
            .route("/Identity/Account/Logout", post(sign_out))
            .route("/Identity/Account/AccessDenied", get(access_denied))
            .with_state(Arc::clone(&inside));
        let serving = async move { axum::serve(listener, pages).await.unwrap() };
        Self {
            url,
            inside,
            serving: tokio::spawn(serving),
        }
    }

    /// Begins a session, as a cookie.
    pub(crate) fn session(&self, role: &str) -> String {
        let session = format!("session-of-{role}-1234567890");
        let mut inside = self.inside.lock();
        inside.sessions.insert(session.clone(), role.to_owned());
        session
    }

    /// Ends a session there.
    pub(crate) fn end(&self, session: &str) {
        self.inside.lock().sessions.remove(session);
    }

    pub(crate) fn is(&self, mood: Mood) {
        self.inside.lock().mood = mood;
    }

    /// From now on it leads everybody to another server.
    pub(crate) fn leads_to(&self, elsewhere: &str) {
        let mut inside = self.inside.lock();
        inside.mood = Mood::Elsewhere;
        elsewhere.clone_into(&mut inside.elsewhere);
    }

    /// What was asked since the last look: page and headers.
    pub(crate) fn asked(&self) -> Vec<(String, HeaderMap)> {
        std::mem::take(&mut self.inside.lock().asked)
    }
}

/// The session in the cookie, whole or in ASP.NET's pieces.
fn session_in(headers: &HeaderMap) -> String {
    let cookies: HashMap<String, String> = headers
        .get_all(header::COOKIE)
        .iter()
        .flat_map(|value| cookie::Cookie::split_parse(value.to_str().unwrap()))
        .map(|cookie| cookie.unwrap())
        .map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned()))
        .collect();
    let piece = |number| cookies.get(&format!("CosmosAuthCookieC{number}")).cloned();
    match cookies.get("CosmosAuthCookie") {
        Some(whole) if !whole.starts_with("chunks-") => whole.clone(),
        _ => (1..).map_while(piece).collect(),
    }
}

fn role_of(inside: &Shared, headers: &HeaderMap) -> Option<String> {
    let sessions = &inside.lock().sessions;
    sessions.get(&session_in(headers)).cloned()
}

async fn administrators_page(state: State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    page_for(&state.0, uri.path(), &headers, &["Administrators"]).await
}

async fn editors_page(state: State<Shared>, uri: Uri, headers: HeaderMap) -> Response {
    let roles = ["Administrators", "Editors"];
    page_for(&state.0, uri.path(), &headers, &roles).await
}

async fn page_for(inside: &Shared, page: &str, headers: &HeaderMap, roles: &[&str]) -> Response {
    let (mood, elsewhere) = {
        let mut inside = inside.lock();
        inside.asked.push((page.to_owned(), headers.clone()));
        (inside.mood, inside.elsewhere.clone())
    };
    let role = role_of(inside, headers);
    let lead = |to: &str| {
        // ASP.NET makes it absolute, by the host that was asked.
        let host = headers[header::HOST].to_str().unwrap();
        let back: String = url::form_urlencoded::byte_serialize(page.as_bytes()).collect();
        let location = format!("http://{host}/Identity/Account/{to}?ReturnUrl={back}");
        (StatusCode::FOUND, [(header::LOCATION, location)]).into_response()
    };
    match mood {
        Mood::Broken => StatusCode::BAD_GATEWAY.into_response(),
        Mood::Silent => std::future::pending().await,
        Mood::Open => Html("everybody’s page").into_response(),
        Mood::Well | Mood::Bare(_) if role.as_deref().is_some_and(|role| roles.contains(&role)) => {
            Html("SkyCMS's own page").into_response()
        }
        Mood::Elsewhere => Redirect::temporary(&format!("{elsewhere}{page}")).into_response(),
        Mood::Bare(status) => status.into_response(),
        Mood::Well if role.is_some() => lead("AccessDenied"),
        Mood::Well => lead("Login"),
    }
}

#[derive(Deserialize)]
struct WayBack {
    #[serde(rename = "ReturnUrl")]
    back: Option<String>,
}

async fn sign_in(Query(way): Query<WayBack>) -> Html<String> {
    Html(format!(
        "<!doctype html><title>SkyCMS</title><link rel=icon href=data:,><h1>Sign in to SkyCMS</h1>
         <form method=post><input name=role id=role><input name=ReturnUrl type=hidden value='{}'>
         <button>Log in</button></form>",
        way.back.unwrap_or_default()
    ))
}

#[derive(Deserialize)]
struct Fields {
    role: String,
    #[serde(rename = "ReturnUrl")]
    back: String,
}

async fn signed_in(State(inside): State<Shared>, Form(fields): Form<Fields>) -> Response {
    let session = format!("browser-session-of-{}", fields.role);
    let sessions = &mut inside.lock().sessions;
    sessions.insert(session.clone(), fields.role);
    let cookie = format!("CosmosAuthCookie={session}; path=/; samesite=lax; httponly");
    let back = if fields.back.is_empty() {
        "/Editor/Index"
    } else {
        &fields.back
    };
    ([(header::SET_COOKIE, cookie)], Redirect::to(back)).into_response()
}

async fn sign_out(State(inside): State<Shared>, headers: HeaderMap) -> Response {
    let session = session_in(&headers);
    inside.lock().sessions.remove(&session);
    let gone = "CosmosAuthCookie=; path=/; max-age=0";
    ([(header::SET_COOKIE, gone)], Redirect::to("/Editor/Index")).into_response()
}

async fn access_denied() -> Html<&'static str> {
    Html("<!doctype html><title>SkyCMS</title><link rel=icon href=data:,><h1>Access denied</h1>")
}

/// The menu that leads to Settings → CDN.
async fn menu() -> Html<&'static str> {
    Html(
        "<!doctype html><title>SkyCMS</title><link rel=icon href=data:,><h1>SkyCMS</h1>
         <a href=/Cosmos___Settings/CDN>CDN</a>
         <form method=post action=/Identity/Account/Logout><button>Log out</button></form>",
    )
}
