//! What the database is asked between a publish and its call. Each statement is a part of the time
//! that a lone publish takes.

use time::Duration;

use crate::support::{Postgres, Sandbox, Stepped};

/// The statements in PostgreSQL's log, in the order in which they came, each with the number of its
/// connection's process.
fn statements(log: &str) -> Vec<(String, String)> {
    let mut statements: Vec<(String, String)> = Vec::new();
    for line in log.lines() {
        // Further lines of a statement begin with a tab.
        if let Some(more) = line.strip_prefix('\t') {
            if let Some((_, statement)) = statements.last_mut() {
                statement.push(' ');
                statement.push_str(more.trim());
            }
            continue;
        }
        let said = line.split_once("] LOG:  ");
        let asked = said.and_then(|(before, said)| {
            let (_, process) = before.rsplit_once('[')?;
            let (how, statement) = said.split_once(": ")?;
            let is_one = how == "statement" || how.starts_with("execute ");
            is_one.then(|| (process.to_owned(), statement.to_owned()))
        });
        // What else is logged must not be added to a statement.
        statements.push(asked.unwrap_or_default());
    }
    statements.retain(|(process, _)| !process.is_empty());
    statements
}

#[tokio::test]
async fn a_lone_publish_is_claimed_by_nine_statements() {
    let postgres = Postgres::started().await;
    let database = postgres.database();
    database
        .change("ALTER DATABASE skycms_cdn SET log_statement = 'all'")
        .await;
    let service = Stepped::start_on(database, Sandbox::start().await, &[], Duration::ZERO).await;
    let read = || std::fs::read_to_string(postgres.log()).unwrap();
    service.publish_and_run("/first").await;
    let before = statements(&read()).len();
    service.publish_and_run("/about").await;

    let asked = statements(&read()).split_off(before);
    let begins = |(_, statement): &&(String, String)| statement.contains("LEFT JOIN access_key");
    let (process, _) = asked.iter().find(begins).expect("what a claim goes by");
    let ours = asked.iter().filter(|(by, _)| by == process);
    let claim = ours.skip_while(|asked| !begins(asked));
    let mut claim: Vec<&str> = claim.map(|(_, statement)| statement.as_str()).collect();
    let end = claim.iter().position(|statement| *statement == "COMMIT");
    claim.truncate(end.expect("its end") + 1);
    assert_eq!(claim.len(), 9, "{claim:#?}");
    assert!(claim.contains(&"BEGIN"), "{claim:#?}");
}
