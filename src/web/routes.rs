//! All routes on one screen, each with the rule that says who is answered. A route cannot be
//! mounted without one.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, OriginalUri, Request, State};
use axum::handler::Handler;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{Redirect, Response};
use axum::routing::{self, MethodRouter};
use axum::{Extension, Router};
use tower::util::MapRequest;
use utoipa_axum::router::UtoipaMethodRouter;
use utoipa_axum::routes;

use super::layers::{same_origin, wrap};
use crate::domain::session::Role;
use crate::web::api::description::{self, Operation};
use crate::web::api::{cloudfront, health, invalidations, metrics, publishes};
use crate::web::http::description::Description;
use crate::web::http::error::Error;
use crate::web::http::framing::never_framed;
use crate::web::http::serve::Answering;
use crate::web::pages::auth::kept::MAX_SEALED_BYTES;
use crate::web::pages::auth::{embed, password, second_step, session, sessions, sign_in};
use crate::web::pages::settings::{
    connection, hook, keys, notifications, publishing, refused, spending, tokens,
};
use crate::web::pages::signed_in::mark_page;
use crate::web::pages::visit::Visitor;
use crate::web::pages::{activity, assets, audit, docs, events, help, layout, purge, sites};
use crate::web::state::AppState;

/// The largest form of a page, in bytes.
const MAX_FORM_BYTES: usize = 16 << 10;
/// The largest form that may have thousands of paths, in bytes.
const MAX_PATHS_FORM_BYTES: usize = 256 << 10;

/// Who is answered by a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Everybody, except for forms of other sites. Never framed.
    Stranger,
    /// Whoever has a publish token or a signing secret; the handler checks the proof with the body.
    Hook,
    /// Whoever signs with a key pair; the handler checks the signature with the body.
    KeyPair,
    /// Whoever has the token of `METRICS_TOKEN`, or without one this machine alone; the handler
    /// checks.
    Metrics,
    /// Whoever brings a token that SkyCMS signed, except for forms of other sites; the handler
    /// checks the token.
    SkyCms,
    Editor,
    Admin,
}

pub struct Route {
    pub method: Method,
    /// Below the prefix of `PUBLIC_URL`.
    pub path: String,
    pub access: Access,
    max_form_bytes: usize,
    is_unframed: bool,
    ends_session: bool,
    handler: MethodRouter<AppState>,
    /// Its description, if it is for programs.
    operation: Option<Operation>,
}

/// All routes except the answers to unknown addresses.
#[rustfmt::skip]
pub fn routes() -> Vec<Route> {
    use Access::{Admin, Anyone, Editor, Hook, KeyPair, SkyCms, Stranger};
    let mut routes = for_operators();
    routes.extend([
        get("/static/style.css", Anyone, assets::serve(&assets::STYLE_SHEET)),
        get("/static/app.js", Anyone, assets::serve(&assets::APP)),
        get("/static/icon.svg", Anyone, assets::serve(&assets::ICON)),
        get("/static/icon-alert.svg", Anyone, assets::serve(&assets::ICON_ALERT)),

        described(Anyone, routes!(description::describe)),
        get("/docs", Anyone, docs::show),

        described(Hook, routes!(publishes::create)),
        described(Hook, routes!(publishes::show)),
        described(Hook, routes!(invalidations::list)),
        described(Hook, routes!(invalidations::items)),

        get("/{date}/distribution/{id}", KeyPair, cloudfront::distribution),
        post("/{date}/distribution/{id}/invalidation", KeyPair, cloudfront::create),
        get("/{date}/distribution/{id}/invalidation", KeyPair, cloudfront::list),
        get("/{date}/distribution/{id}/invalidation/{invalidation}", KeyPair, cloudfront::show),

        get("/sign-in", Stranger, sign_in::show),
        post("/sign-in", Stranger, sign_in::submit).with_a_kept_form(),
        get("/set-up", Stranger, password::show_set_up),
        post("/set-up", Stranger, password::set_up),
        get("/embed", SkyCms, embed::sign_in),
        post("/embed", SkyCms, embed::change_user),

        get("/", Editor, home),
        get("/help", Editor, help::show),
        post("/sign-out", Editor, sign_in::sign_out),
        post("/sign-out-everywhere", Editor, sign_in::sign_out_everywhere),
        get("/password", Admin, password::show_change).unframed(),
        post("/password", Admin, password::change).unframed().ending_its_session(),
        get("/password/second-step", Admin, second_step::show).unframed(),
        post("/password/second-step", Admin, second_step::turn_on).unframed(),
        post("/password/second-step/remove", Admin, second_step::turn_off).unframed(),
        get("/sessions", Admin, sessions::show),
        post("/sessions/end-others", Admin, sessions::end_others),
        post("/sessions/{id}/end", Admin, sessions::end),
        get("/audit", Admin, audit::list),

        get("/sites", Admin, sites::show),
        post("/sites", Admin, sites::create),
        post("/sites/{name}/rename", Admin, sites::rename),
        post("/sites/{name}/remove", Admin, sites::remove),
    ]);
    // Where the address names no site, the pages are those of `default`.
    routes.extend(of_a_site(""));
    routes.extend(of_a_site("/sites/{site}"));
    routes
}

/// What those who watch the service ask for, on a listener of their own too.
fn for_operators() -> Vec<Route> {
    vec![
        described(Access::Anyone, routes!(health::live)),
        described(Access::Anyone, routes!(health::ready)),
        described(Access::Metrics, routes!(metrics::show)),
    ]
}

/// The pages of a site, below `prefix`. `session::require` decides which site it is, and whether
/// the reader may see it.
#[rustfmt::skip]
fn of_a_site(prefix: &str) -> Vec<Route> {
    use Access::{Admin, Editor};
    let mut routes = vec![
        get("/activity", Editor, activity::list),
        get("/activity.csv", Editor, activity::download),
        get("/activity/{publish}", Editor, activity::show),
        post("/activity/{publish}/retry", Editor, activity::retry),
        get("/purge", Editor, purge::show),
        post("/purge", Editor, purge::act).with_paths(),
        get("/events", Editor, events::events),

        get("/settings/cdn", Admin, connection::show),
        post("/settings/cdn", Admin, connection::save),
        post("/settings/cdn/discard", Admin, connection::discard),
        post("/settings/cdn/remove", Admin, connection::remove),
        get("/settings/cdn/hook", Admin, hook::show),
        post("/settings/cdn/hook/test", Admin, hook::send_test),
        get("/settings/cdn/publishing", Admin, publishing::show),
        post("/settings/cdn/publishing", Admin, publishing::save).with_paths(),
        get("/settings/cdn/notifications", Admin, notifications::show),
        post("/settings/cdn/notifications", Admin, notifications::create),
        post("/settings/cdn/notifications/{id}", Admin, notifications::choose),
        post("/settings/cdn/notifications/{id}/test", Admin, notifications::test),
        post("/settings/cdn/notifications/{id}/rotate", Admin, notifications::rotate),
        post("/settings/cdn/notifications/{id}/switch-on", Admin, notifications::switch_on),
        post("/settings/cdn/notifications/{id}/remove", Admin, notifications::remove),
        post("/settings/cdn/deliveries/{id}/again", Admin, notifications::again),
        get("/settings/cdn/refused", Admin, refused::show),
        get("/settings/cdn/policy", Admin, spending::show),
        post("/settings/cdn/policy", Admin, spending::save),
        post("/settings/cdn/tokens", Admin, tokens::create_token),
        post("/settings/cdn/tokens/{id}/reveal", Admin, tokens::reveal_token),
        post("/settings/cdn/tokens/{id}/revoke", Admin, tokens::revoke_token),
        post("/settings/cdn/secrets", Admin, tokens::create_secret),
        post("/settings/cdn/secrets/{id}/reveal", Admin, tokens::reveal_secret),
        post("/settings/cdn/secrets/{id}/revoke", Admin, tokens::revoke_secret),
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
    Route::new(Method::GET, path, access, routing::get(handler))
}

fn post<H: Handler<T, AppState>, T: 'static>(path: &str, access: Access, handler: H) -> Route {
    Route::new(Method::POST, path, access, routing::post(handler))
}

/// A route for programs: its method and its path are those of its description.
fn described(access: Access, route: UtoipaMethodRouter<AppState>) -> Route {
    let (schemas, paths, handler) = route;
    let operation = Operation { schemas, paths };
    let (method, path) = operation.address();
    Route {
        operation: Some(operation),
        ..Route::new(method, &path, access, handler)
    }
}

impl Route {
    fn new(method: Method, path: &str, access: Access, handler: MethodRouter<AppState>) -> Self {
        Self {
            method,
            path: path.to_owned(),
            access,
            max_form_bytes: MAX_FORM_BYTES,
            is_unframed: false,
            ends_session: false,
            handler,
            operation: None,
        }
    }

    /// Its form may have many paths.
    fn with_paths(mut self) -> Self {
        self.max_form_bytes = MAX_PATHS_FORM_BYTES;
        self
    }

    /// Its form may bring another one along.
    fn with_a_kept_form(mut self) -> Self {
        self.max_form_bytes = MAX_SEALED_BYTES;
        self
    }

    /// Its page takes a password.
    fn unframed(mut self) -> Self {
        self.is_unframed = true;
        self
    }

    /// Its form ends the session that it comes from.
    fn ending_its_session(mut self) -> Self {
        self.ends_session = true;
        self
    }

    /// Whether a slash after its address is taken off: people type it, programs do not.
    fn redirects_slash(&self) -> bool {
        use Access::{Hook, KeyPair, Metrics};
        let is_for_programs = matches!(self.access, Hook | KeyPair | Metrics);
        self.method == Method::GET && !is_for_programs && self.path != "/"
    }

    /// The handler behind its rule.
    fn guarded(self, state: &AppState, description: &Arc<Description>) -> MethodRouter<AppState> {
        // A later layer wraps the earlier ones.
        let form_limit = DefaultBodyLimit::max(self.max_form_bytes);
        let page = |handler: MethodRouter<AppState>| {
            handler
                .route_layer(form_limit)
                .route_layer(same_origin(state))
        };
        let signed_in = |role| from_fn_with_state((state.clone(), role), session::require);
        let (is_unframed, ends_session) = (self.is_unframed, self.ends_session);
        let again = |handler: MethodRouter<AppState>| match ends_session {
            true => handler.route_layer(from_fn_with_state(state.clone(), password::answer_again)),
            false => handler,
        };
        let guarded = match self.access {
            Access::Anyone => self.handler.route_layer(Extension(Arc::clone(description))),
            Access::Metrics | Access::Hook | Access::KeyPair => self.handler,
            Access::Stranger => page(self.handler)
                .route_layer(map_response(mark_page))
                .route_layer(map_response(never_framed)),
            // Framed: a form's answer is read where the form was.
            Access::SkyCms => page(self.handler).route_layer(map_response(mark_page)),
            Access::Editor => page(self.handler.route_layer(signed_in(Role::Editor))),
            Access::Admin => page(again(self.handler.route_layer(signed_in(Role::Admin)))),
        };
        match is_unframed {
            true => guarded.route_layer(map_response(never_framed)),
            false => guarded,
        }
    }
}

/// All routes, below the path prefix of `PUBLIC_URL` and at the root: a proxy may strip the prefix
/// or leave it.
pub fn router(state: &AppState) -> impl Answering + use<> {
    let mounted = mounted(state, routes());
    let prefix = &state.public.prefix;
    let mounted = if prefix.is_empty() {
        mounted
    } else {
        // The home page itself: a proxy may redirect from the prefix without a slash to the one
        // with it.
        let home = MapRequest::new(mounted.clone(), |mut request: Request| {
            *request.uri_mut() = Uri::from_static("/");
            request
        });
        Router::new()
            .nest(prefix, mounted.clone())
            .route_service(&format!("{prefix}/"), home)
            .merge(mounted)
    };
    wrap(mounted, state)
}

/// For a listener that answers those who watch the service, however crowded the other one is.
pub(crate) fn router_for_operators(state: &AppState) -> impl Answering + use<> {
    wrap(mounted(state, for_operators()), state)
}

fn mounted(state: &AppState, mut routes: Vec<Route>) -> Router {
    let operations = routes.iter_mut().filter_map(|route| route.operation.take());
    let document = description::document(operations, &state.public);
    let description = Arc::new(Description::of(&document));
    let mounted = routes.into_iter().fold(Router::new(), |router, route| {
        let path = route.path.clone();
        let router = match route.redirects_slash() {
            true => router.route(&format!("{path}/"), routing::get(without_slash)),
            false => router,
        };
        router.route(&path, route.guarded(state, &description))
    });
    mounted
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .with_state(state.clone())
}

/// Redirects to the same address without its last slash. Mounted for the addresses of pages alone,
/// so that it leads to no other host, as `//example.com/` would.
async fn without_slash(State(state): State<AppState>, OriginalUri(uri): OriginalUri) -> Redirect {
    let path = state.public.below(uri.path()).trim_end_matches('/');
    let query = uri.query().map(|query| format!("?{query}"));
    let prefix = &state.public.prefix;
    Redirect::permanent(&format!("{prefix}{path}{}", query.unwrap_or_default()))
}

async fn home(visitor: Visitor) -> Response {
    let home = layout::home(&visitor.state, &visitor.user.session);
    visitor.see(&format!("{home}/activity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{OWN_PATHS, PublicUrl};

    /// Pages, what they load, and the sign-in from SkyCMS; and CloudFront's own API, which AWS
    /// describes.
    fn is_described_elsewhere(path: &str, access: Access) -> bool {
        use Access::{Admin, Editor, KeyPair, SkyCms, Stranger};
        matches!(access, Admin | Editor | KeyPair | SkyCms | Stranger)
            || path.starts_with("/static/")
            || path == "/docs"
    }

    #[test]
    fn every_route_for_programs_is_described_and_nothing_else() {
        for route in routes() {
            let elsewhere = is_described_elsewhere(&route.path, route.access);
            assert_ne!(route.operation.is_some(), elsewhere, "{}", route.path);
        }
    }

    #[test]
    fn no_prefix_can_be_taken_for_a_route() {
        for route in routes() {
            let first = route.path.split('/').nth(1).unwrap_or_default();
            let is_known = OWN_PATHS.contains(&first);
            let is_any = first.is_empty() || first.starts_with('{');
            assert!(is_known || is_any, "{}", route.path);
        }
    }

    #[test]
    fn every_operation_has_a_summary_an_example_and_a_group() {
        let public = PublicUrl::new(None, ([127, 0, 0, 1], 8080).into());
        let operations = routes().into_iter().filter_map(|route| route.operation);
        let document = description::document(operations, &public);
        let document = serde_json::to_value(document).expect("a document");
        assert_eq!(document["openapi"], "3.1.0");
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let name = format!("{method} {path}");
                assert!(operation["summary"].is_string(), "{name}: {operation}");
                assert!(operation["tags"][0].is_string(), "{name}");
                for (status, answer) in operation["responses"].as_object().expect("answers") {
                    assert!(answer["description"].is_string(), "{name}: {status}");
                    let examples = answer["content"]
                        .as_object()
                        .into_iter()
                        .flat_map(|content| content.values())
                        .any(|media| media["example"].is_object() || media["examples"].is_object());
                    let is_json = !path.ends_with("/metrics") && !path.ends_with(".json");
                    assert!(examples || status == "200" && !is_json, "{name}: {status}");
                }
            }
        }
    }
}
