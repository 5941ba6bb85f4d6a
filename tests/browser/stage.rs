//! A service, what it talks to, and somebody's browser in front of it.

use std::sync::Arc;

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::support::{
    Api, Database, PASSWORD, Replica, Sandbox, Variables, variables, without_settings,
};

/// One of each, with nothing shared between tests.
pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) service: Replica,
    pub(crate) sandbox: Arc<Sandbox>,
    _database: Database,
}

impl Stage {
    /// A service with working settings from the environment.
    pub(crate) async fn set_up(scripts: Scripts) -> Self {
        Self::with(scripts, |_| {}).await
    }

    /// A service that nobody has set up yet.
    pub(crate) async fn fresh(scripts: Scripts) -> Self {
        Self::with(scripts, without_settings).await
    }

    pub(crate) async fn with(scripts: Scripts, change: impl FnOnce(&mut Variables)) -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        Self::on(scripts, database, sandbox, change).await
    }

    /// A service before a database and a sandbox that have a past.
    pub(crate) async fn on(
        scripts: Scripts,
        database: Database,
        sandbox: impl Into<Arc<Sandbox>>,
        change: impl FnOnce(&mut Variables),
    ) -> Self {
        let sandbox = sandbox.into();
        let mut variables = variables(&database, &sandbox);
        variables.insert("ADMIN_PASSWORD".into(), PASSWORD.into());
        change(&mut variables);
        let service = Replica::start_with(&variables).await;
        Self {
            browser: Browser::start(&service.api.base, scripts).await,
            service,
            sandbox,
            _database: database,
        }
    }

    pub(crate) fn api(&self) -> &Api {
        &self.service.api
    }

    /// Says goodbye to the browser, whose console must have nothing to complain about.
    pub(crate) async fn finish(self) {
        let complaints: Vec<Value> = self.browser.driver.console().await;
        let complaints: Vec<_> = complaints
            .iter()
            .filter(|c| !is_status_of_a_page(c))
            .collect();
        assert!(complaints.is_empty(), "the console says: {complaints:#?}");
    }
}

/// A page of another site, until the test ends.
pub(crate) fn serve(listener: TcpListener, page: String) {
    let site = Router::new().route("/", get(move || async move { Html(page.clone()) }));
    tokio::spawn(async move { axum::serve(listener, site).await });
}

/// Chromium reports every page with a status of 400 or more; the tests check those themselves.
fn is_status_of_a_page(complaint: &Value) -> bool {
    let message = complaint["message"].as_str().unwrap();
    complaint["source"] == "network"
        && message.contains("the server responded with a status of")
        && !message.contains("/static/")
        && !message.contains("/events")
}
