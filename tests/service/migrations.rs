//! Every released schema, with rows that a service of its time wrote, brought up to date by this
//! one: nothing is lost, everything can be read, and what was under way goes on.
//!
//! `tests/migrations/` has what each migration brought, as rows. What an older schema's service
//! writes is inserted into each newer schema too, so a migration that an older replica could not
//! live with during a roll-out fails here.

use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{
    Browser, Database, ENCRYPTION_KEY, NO_SETTINGS, Sandbox, Stepped, eventually, file,
};

static MIGRATIONS: Migrator = sqlx::migrate!();

const TOKEN: &str = "skycdn_token_of_the_sample";
/// What seals the secrets of the rows.
const OLD_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const HOOK_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PASSWORD: &str = "the-password-of-the-sample";

#[tokio::test]
async fn every_released_schema_comes_up_to_date_with_its_rows() {
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        println!("from {version}");
        let database = Database::empty().await;
        let mut connection = database.connect().await;
        up_to(&mut connection, version).await;
        for (of, sample) in samples() {
            if of <= version {
                execute(&mut connection, &sample).await;
            }
        }
        let before = rows(&mut connection).await;
        assert_complete(version, &mut connection).await;
        MIGRATIONS.run(&mut connection).await.unwrap();
        assert_there(&before, &mut connection).await;
        assert_served(database).await;
    }
}

#[tokio::test]
async fn what_an_older_service_writes_fits_into_the_newest_schema() {
    let database = with_all_samples().await;
    assert_served(database).await;
}

#[tokio::test]
async fn no_later_migration_holds_up_publishes() {
    let database = Database::empty().await;
    let mut connection = database.connect().await;
    let (first, later) = MIGRATIONS.migrations.split_first().unwrap();
    up_to(&mut connection, first.version).await;
    for migration in later {
        let slow = slow_steps(&mut connection, migration.sql.as_str()).await;
        assert_eq!(slow, NOTHING, "{}", migration.description);
    }
}

#[tokio::test]
async fn a_migration_that_would_hold_up_publishes_is_found() {
    let database = with_all_samples().await;
    for (migration, found) in [
        ("ALTER TABLE publish ADD note text", None),
        (
            "ALTER TABLE publish ADD parts integer NOT NULL DEFAULT 1",
            None,
        ),
        (
            "ALTER TABLE publish ADD CONSTRAINT later CHECK (cardinality(items) > 0) NOT VALID",
            None,
        ),
        (
            "CREATE TABLE note (publish_id uuid); CREATE INDEX ON note (publish_id)",
            None,
        ),
        (
            "CREATE INDEX CONCURRENTLY late ON publish (received_at)",
            None,
        ),
        (
            "UPDATE publish SET widened = NULL",
            Some("publish: 6 rows written"),
        ),
        (
            "ALTER TABLE publish ADD hour timestamptz DEFAULT clock_timestamp()",
            Some("publish: rewritten"),
        ),
        (
            "CREATE INDEX soon ON invalidation (submitted_at)",
            Some("invalidation: index soon built under a lock"),
        ),
        (
            "ALTER TABLE publish ADD CONSTRAINT soon CHECK (cardinality(items) > 0)",
            Some("publish: rows checked for soon"),
        ),
        (
            "ALTER TABLE invalidation ALTER submitted_at SET NOT NULL",
            Some("invalidation: rows checked for NOT NULL"),
        ),
    ] {
        let sql = format!("{migration};");
        let connection = &mut database.connect().await;
        if migration.contains("SET NOT NULL") {
            execute(connection, "UPDATE invalidation SET submitted_at = now()").await;
        }
        let found: Vec<_> = found.into_iter().map(str::to_owned).collect();
        assert_eq!(slow_steps(connection, &sql).await, found, "{migration}");
    }
}

/// Whoever comes after a change that waits for its lock would wait as well.
#[tokio::test]
async fn a_migration_stands_back_while_its_table_is_in_use() {
    let service = Stepped::start().await;
    let user = service.database.hold("LOCK TABLE _sqlx_migrations").await;
    let using = async {
        service.database.wait_for_locks(1).await;
        eventually("the migration to stand back", || async {
            (service.database.waiting_for_locks().await == 0).then_some(())
        })
        .await;
        user.release().await;
    };
    let ((), migrated) = tokio::join!(using, service.state.store.migrate());
    migrated.unwrap();
}

const NOTHING: [String; 0] = [];

/// The tables that grow without bound and that every publish writes.
const LARGE: &str = "('publish'::regclass, 'invalidation'::regclass, 'coverage'::regclass)";

/// What a large table is made of, as far as changing it takes time in proportion to its rows.
#[derive(Debug, PartialEq, Eq)]
struct Large {
    name: String,
    file: i64,
    indexes: Vec<String>,
    checked: Vec<String>,
    not_null: i64,
    written: i64,
}

async fn large_tables(connection: &mut PgConnection) -> Vec<Large> {
    let select = format!(
        "SELECT c.relname::text, pg_relation_filenode(c.oid)::bigint,
                ARRAY(SELECT i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = c.oid ORDER BY 1),
                ARRAY(SELECT conname::text FROM pg_constraint
                      WHERE conrelid = c.oid AND convalidated AND contype IN ('c', 'f') ORDER BY 1),
                (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attnotnull AND NOT atthasmissing),
                pg_stat_get_xact_tuples_updated(c.oid) + pg_stat_get_xact_tuples_deleted(c.oid)
         FROM pg_class c WHERE c.oid IN {LARGE} ORDER BY 1"
    );
    type Row = (String, i64, Vec<String>, Vec<String>, i64, i64);
    let rows: Vec<Row> = sqlx::query_as(AssertSqlSafe(select))
        .fetch_all(connection)
        .await
        .unwrap();
    rows.into_iter()
        .map(|(name, file, indexes, checked, not_null, written)| Large {
            name,
            file,
            indexes,
            checked,
            not_null,
            written,
        })
        .collect()
}

/// Applies a migration, and says which of its steps would keep ten million rows locked for long.
async fn slow_steps(connection: &mut PgConnection, sql: &str) -> Vec<String> {
    // Only these build indexes without a lock, and cannot run in a transaction.
    let unlocked = sql.contains(" CONCURRENTLY ");
    let before = large_tables(connection).await;
    if !unlocked {
        execute(connection, "BEGIN").await;
    }
    execute(connection, sql).await;
    let after = large_tables(connection).await;
    if !unlocked {
        execute(connection, "COMMIT").await;
    }
    let mut slow = Vec::new();
    for (before, after) in before.iter().zip(&after) {
        let table = &after.name;
        let written = after.written - before.written;
        if before.file != after.file {
            slow.push(format!("{table}: rewritten"));
        }
        if written > 0 {
            slow.push(format!("{table}: {written} rows written"));
        }
        for index in after
            .indexes
            .iter()
            .filter(|i| !unlocked && !before.indexes.contains(i))
        {
            slow.push(format!("{table}: index {index} built under a lock"));
        }
        for constraint in after.checked.iter().filter(|c| !before.checked.contains(c)) {
            slow.push(format!("{table}: rows checked for {constraint}"));
        }
        if before.file == after.file && after.not_null > before.not_null {
            slow.push(format!("{table}: rows checked for NOT NULL"));
        }
    }
    slow
}

/// Applies the migrations up to one, as the service that was released with it did.
async fn up_to(connection: &mut PgConnection, version: i64) {
    let migrations = MIGRATIONS.iter().filter(|m| m.version <= version);
    let released = Migrator::with_migrations(migrations.cloned().collect());
    released.run(connection).await.unwrap();
}

/// What each migration brought, oldest first.
fn samples() -> Vec<(i64, String)> {
    let directory = file("tests/migrations");
    let mut samples: Vec<(i64, String)> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let (version, _) = name.split_once('_').unwrap();
            let sql = std::fs::read_to_string(entry.path()).unwrap();
            (version.parse().unwrap(), sql)
        })
        .collect();
    samples.sort();
    samples
}

/// The newest schema with the rows of all.
async fn with_all_samples() -> Database {
    let database = Database::fresh().await;
    let mut connection = database.connect().await;
    for (_, sample) in samples() {
        execute(&mut connection, &sample).await;
    }
    database
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(connection)
        .await
        .unwrap();
}

/// All columns of all tables of ours.
async fn columns(connection: &mut PgConnection) -> Vec<(String, String)> {
    sqlx::query_as(
        "SELECT table_name::text, column_name::text FROM information_schema.columns
         WHERE table_schema = 'public' AND table_name <> '_sqlx_migrations' ORDER BY 1, 2",
    )
    .fetch_all(connection)
    .await
    .unwrap()
}

/// Every row, with its table.
async fn rows(connection: &mut PgConnection) -> Vec<(String, Value)> {
    let mut tables: Vec<String> = columns(connection).await.into_iter().map(|c| c.0).collect();
    tables.dedup();
    let mut rows = Vec::new();
    for table in tables {
        let select = format!("SELECT to_jsonb(t) FROM \"{table}\" t");
        let of_table: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(select))
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        rows.extend(of_table.into_iter().map(|row| (table.clone(), row)));
    }
    rows
}

/// A sample that leaves a column empty would not show what becomes of it.
async fn assert_complete(version: i64, connection: &mut PgConnection) {
    for (table, column) in columns(connection).await {
        let select =
            format!("SELECT EXISTS (SELECT FROM \"{table}\" WHERE \"{column}\" IS NOT NULL)");
        let set: bool = sqlx::query_scalar(AssertSqlSafe(select))
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert!(
            set,
            "no sample of schema {version} sets {table}.{column}: add it to tests/migrations/"
        );
    }
}

/// Each row is still there with all that it had.
async fn assert_there(before: &[(String, Value)], connection: &mut PgConnection) {
    for (table, row) in before {
        let select = format!("SELECT EXISTS (SELECT FROM \"{table}\" t WHERE to_jsonb(t) @> $1)");
        let there: bool = sqlx::query_scalar(AssertSqlSafe(select))
            .bind(row)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert!(there, "{table} lost {row:#}");
    }
}

/// The service reads all of it, and what was under way goes on.
async fn assert_served(database: Database) {
    let sandbox = Sandbox::start().await;
    let keys = format!("{ENCRYPTION_KEY},{OLD_KEY}");
    let mut more = vec![("ADMIN_PASSWORD", PASSWORD), ("ENCRYPTION_KEY", &keys)];
    more.extend(NO_SETTINGS);
    let service = Stepped::start_on(database, sandbox, &more, time::Duration::ZERO).await;
    let api = service.api.of_site("default", TOKEN);
    let publish = |n: u8| format!("01a209ba-0000-7000-8000-00000000010{n}");

    for (n, state, status) in [
        (1, "completed", "Completed"),
        (2, "failed", "Failed"),
        (3, "unconfirmed", "Unconfirmed"),
        (4, "in_progress", "InProgress"),
        (5, "queued", "Queued"),
    ] {
        let told = api.get_publish(&publish(n)).await;
        assert_eq!(told["state"], state, "{told:#}");
        assert_eq!(told["invalidations"][0]["status"], status, "{told:#}");
    }
    let failed = api.get_publish(&publish(2)).await;
    assert_eq!(
        failed["invalidations"][0]["error"]["code"],
        "InvalidArgument"
    );
    let all = api.invalidations("").await.json();
    assert_eq!(all["items"].as_array().map(Vec::len), Some(6), "{all:#}");

    // The publisher's repeat is the first publish.
    let body = json!({ "paths": ["/completed", "/files/a~b"] }).to_string();
    let repeated = api.post(&[("idempotency-key", "sample-key")], body).await;
    assert_eq!(repeated.status, 202);
    assert_eq!(repeated.json()["id"], publish(1).as_str());
    let revoked = api.of_site("default", "skycdn_revoked_token_of_the_sample");
    assert_eq!(
        revoked
            .get("/api/sites/default/invalidations", &[])
            .await
            .status,
        401
    );
    assert_eq!(sign_and_publish(&service).await, 202);
    assert_pages(&service).await;

    // With the sealed secret, what waited and what was not known goes out.
    for n in [5, 6] {
        let ended = until_completed(&service, &publish(n)).await;
        assert_eq!(ended["state"], "completed", "{ended:#}");
    }
}

async fn until_completed(service: &Stepped, id: &str) -> Value {
    let api = service.api.of_site("default", TOKEN);
    for _ in 0..60 {
        service.pass(1).await;
        let publish = api.get_publish(id).await;
        if publish["state"] == "completed" {
            return publish;
        }
    }
    api.get_publish(id).await
}

async fn sign_and_publish(service: &Stepped) -> u16 {
    let (api, now) = (&service.api, service.state.clock.now().unix_timestamp());
    let body = r#"{"paths":["/signed"]}"#;
    api.post_signed(HOOK_SECRET, "signed", now, body)
        .await
        .status
}

/// The pages show the rows to who signs in with the password of then.
async fn assert_pages(service: &Stepped) {
    let mut admin = Browser::new(&service.api.base);
    assert_eq!(admin.sign_in(PASSWORD).await.status, 303);
    let pages = [
        ("/activity", "/unconfirmed"),
        ("/activity?state=failed", "/failed"),
        ("/activity?path=/waiting", "/waiting"),
        (
            "/activity/01a209ba-0000-7000-8000-000000000102",
            "Mend the path.",
        ),
        ("/settings/cdn", "SignatureDoesNotMatch"),
        ("/purge", "purge"),
        ("/audit", "Signed in"),
        ("/audit", "E2SANDBOX0CDN1: passed, and in force"),
    ];
    for (path, text) in pages {
        let page = admin.get(path).await;
        let html = &page.body;
        assert_eq!(page.status, 200, "{path}: {html}");
        assert!(html.contains(text), "{path} does not show {text}: {html}");
    }
}
