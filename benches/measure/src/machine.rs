//! What is measured with: where the programs are, and the PostgreSQL.

use std::path::PathBuf;

use crate::Failure;
use crate::postgres::Postgres;

/// Where things are.
#[derive(clap::Args)]
pub(crate) struct Machine {
    /// The directory of `skycms-cdn` and `cloudfront-sandbox`
    #[arg(long)]
    pub(crate) bin: PathBuf,
    /// The directory of `psql`
    #[arg(long)]
    pub(crate) postgres_bin: PathBuf,
    /// The directory of a PostgreSQL's socket; its superuser is `skycms_cdn`
    #[arg(long)]
    postgres: Option<PathBuf>,
}

impl Machine {
    /// The PostgreSQL that was given.
    pub(crate) fn postgres(&self) -> Result<Postgres, Failure> {
        let socket = self.postgres.clone().ok_or("--postgres is missing")?;
        Ok(Postgres::new(self.postgres_bin.clone(), socket))
    }
}
