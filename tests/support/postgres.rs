//! A PostgreSQL of a test's own, which it may stop and start.

use std::path::PathBuf;

use embedded_postgres::Embedded;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::database::{Database, url_of};

pub(crate) struct Postgres {
    running: Option<Embedded>,
    directory: TempDir,
}

impl Postgres {
    pub(crate) async fn started() -> Self {
        let mut postgres = Self {
            running: None,
            directory: tempfile::tempdir().unwrap(),
        };
        postgres.start().await;
        postgres
    }

    pub(crate) async fn start(&mut self) {
        let started = Embedded::start(self.directory.path(), "skycms_cdn").await;
        self.running = Some(started.unwrap());
    }

    pub(crate) async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        self.running.as_ref().unwrap().connect_options()
    }

    pub(crate) fn database(&self) -> Database {
        let options = self.options();
        Database::at(url_of(&options, options.get_database().unwrap()))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory.path().join("postgres.log")
    }
}
