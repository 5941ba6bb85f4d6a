//! Readers of the site, as the edge answers them: every path is a page.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;

use crate::app::App;

pub(crate) fn router() -> Router<App> {
    Router::new().fallback(answer)
}

async fn answer(State(app): State<App>, request: Request) -> Response {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    let now = app.now();
    let answer = {
        let state = &mut *app.state();
        (!state.edge.settings.hangs).then(|| state.edge.answer(path, &state.invalidations, now))
    };
    match answer {
        Some(answer) => answer,
        None => std::future::pending().await,
    }
}
