//! All routes on one screen, each with the rule that says whom it answers. A route cannot be
//! mounted without one.

use axum::Router;
use axum::extract::State;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{self, MethodRouter};

use super::guard;
use crate::store::Role;
use crate::web::AppState;
use crate::web::api::{cloudfront, health, invalidations, metrics, openapi, publishes};
use crate::web::pages::auth::session::SignedIn;
use crate::web::pages::auth::{embed, password, session, sign_in};
use crate::web::pages::settings::{keys, rules, secrets, tokens};
use crate::web::pages::{self, activity, assets, audit, docs, events, purge, settings, sites};

/// Whom a route answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Anyone,
    /// Everybody, but for forms of other sites. Never framed.
    Stranger,
    /// Who proves it with a publish token or a signature; the handler takes the proof with the
    /// body.
    Hook,
    /// Who signs with a key pair; the handler checks the signature with the body.
    KeyPair,
    /// Who has the token of `METRICS_TOKEN`, or without one this machine alone; the handler looks.
    Metrics,
    /// Who is signed in.
    Editor,
    /// Who is signed in as administrator.
    Admin,
}

/// A route and its rule.
pub struct Route {
    /// How it is asked.
    pub method: Method,
    /// Where, below the prefix of `PUBLIC_URL`.
    pub path: String,
    /// Whom it answers.
    pub access: Access,
    handler: MethodRouter<AppState>,
}

/// All routes but the answers to unknown addresses.
#[rustfmt::skip]
pub fn routes() -> Vec<Route> {
    use Access::{Admin, Anyone, Editor, Hook, KeyPair, Metrics, Stranger};
    let mut routes = vec![
        get("/health/live", Anyone, health::live),
        get("/health/ready", Anyone, health::ready),
        get("/static/style.css", Anyone, assets::style),
        get("/static/app.js", Anyone, assets::script),
        get("/static/icon.svg", Anyone, assets::icon),

        get("/metrics", Metrics, metrics::show),
        get("/openapi.json", Anyone, openapi::describe),
        get("/docs", Anyone, docs::show),

        post("/api/sites/{site}/publishes", Hook, publishes::create),
        get("/api/sites/{site}/publishes/{id}", Hook, publishes::show),
        get("/api/sites/{site}/invalidations", Hook, invalidations::list),

        post("/{date}/distribution/{id}/invalidation", KeyPair, cloudfront::create),
        get("/{date}/distribution/{id}/invalidation", KeyPair, cloudfront::list),
        get("/{date}/distribution/{id}/invalidation/{invalidation}", KeyPair, cloudfront::show),

        get("/sign-in", Stranger, sign_in::show),
        post("/sign-in", Stranger, sign_in::submit),
        get("/set-up", Stranger, password::show_set_up),
        post("/set-up", Stranger, password::set_up),
        get("/embed", Anyone, embed::sign_in),

        get("/", Editor, home),
        post("/sign-out", Editor, sign_in::sign_out),
        post("/sign-out-everywhere", Editor, sign_in::sign_out_everywhere),
        get("/password", Admin, password::show_change),
        post("/password", Admin, password::change),
        get("/audit", Admin, audit::list),

        get("/sites", Admin, sites::show),
        post("/sites", Admin, sites::create),
        post("/sites/{site}/rename", Admin, sites::rename),
        post("/sites/{site}/remove", Admin, sites::remove),
    ];
    // Those of `default` are where those of the only site are.
    routes.extend(of_a_site(""));
    routes.extend(of_a_site("/sites/{site}"));
    routes
}

/// The pages of a site, below `prefix`. Which one it is, and whether the reader may see it,
/// `session::require` decides.
#[rustfmt::skip]
fn of_a_site(prefix: &str) -> Vec<Route> {
    use Access::{Admin, Editor};
    let mut routes = vec![
        get("/activity", Editor, activity::list),
        get("/activity/{publish}", Editor, activity::show),
        post("/activity/{publish}/retry", Editor, activity::retry),
        get("/purge", Editor, purge::show),
        post("/purge", Editor, purge::act),
        get("/events", Editor, events::events),

        get("/settings/cdn", Admin, settings::show),
        post("/settings/cdn", Admin, settings::save),
        post("/settings/cdn/remove", Admin, settings::remove),
        post("/settings/cdn/publishing", Admin, rules::save_publishing),
        post("/settings/cdn/policy", Admin, rules::save_spending),
        post("/settings/cdn/tokens", Admin, tokens::create),
        post("/settings/cdn/tokens/{id}/reveal", Admin, tokens::reveal),
        post("/settings/cdn/tokens/{id}/revoke", Admin, tokens::revoke),
        post("/settings/cdn/secrets", Admin, secrets::create),
        post("/settings/cdn/secrets/{id}/reveal", Admin, secrets::reveal),
        post("/settings/cdn/secrets/{id}/revoke", Admin, secrets::revoke),
        post("/settings/cdn/keys", Admin, keys::create),
        post("/settings/cdn/keys/{id}/rotate", Admin, keys::rotate),
        post("/settings/cdn/keys/{id}/revoke", Admin, keys::revoke),
    ];
    for route in &mut routes {
        route.path.insert_str(0, prefix);
    }
    routes
}

fn get<H: Handler<T, AppState>, T: 'static>(path: &str, access: Access, handler: H) -> Route {
    Route {
        method: Method::GET,
        path: path.to_owned(),
        access,
        handler: routing::get(handler),
    }
}

fn post<H: Handler<T, AppState>, T: 'static>(path: &str, access: Access, handler: H) -> Route {
    Route {
        method: Method::POST,
        path: path.to_owned(),
        access,
        handler: routing::post(handler),
    }
}

impl Route {
    /// The handler behind its rule.
    fn guarded(self, state: &AppState) -> MethodRouter<AppState> {
        let signed_in = |role| from_fn_with_state((state.clone(), role), session::require);
        let same_origin = from_fn_with_state(state.clone(), guard::same_origin);
        match self.access {
            Access::Anyone | Access::Metrics | Access::Hook | Access::KeyPair => self.handler,
            Access::Stranger => self
                .handler
                .route_layer(axum::middleware::map_response(guard::never_framed))
                .route_layer(same_origin),
            Access::Editor => self
                .handler
                .route_layer(signed_in(Role::Editor))
                .route_layer(same_origin),
            Access::Admin => self
                .handler
                .route_layer(signed_in(Role::Admin))
                .route_layer(same_origin),
        }
    }
}

/// All routes, mounted.
pub(crate) fn mount(state: &AppState) -> Router<AppState> {
    routes().into_iter().fold(Router::new(), |router, route| {
        let path = route.path.clone();
        router.route(&path, route.guarded(state))
    })
}

async fn home(State(state): State<AppState>, user: SignedIn) -> Response {
    let home = pages::home(&state, &user.session);
    pages::see(&state, &format!("{home}/activity"))
}
