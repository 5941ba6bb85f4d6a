//! `key`: key pairs come, change and go while the service runs.

use serde_json::json;

use super::run::run;
use crate::cloudfront_api::{batch, client_at, create};
use crate::support::{
    DISTRIBUTION, Database, Replica, Sandbox, eventually, named, refusal, variables,
};

/// The pair that was printed.
fn printed(stdout: &str) -> (String, String) {
    let value = |name: &str| {
        let line = stdout.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {stdout}"))
            .to_owned()
    };
    (value("AWS_ACCESS_KEY_ID="), value("AWS_SECRET_ACCESS_KEY="))
}

#[tokio::test]
async fn a_key_pair_is_made_used_rotated_and_revoked_beside_a_running_service() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let variables = variables(&database, &sandbox);
    let replica = Replica::start_with(&variables).await;
    let becomes = async |(access_key, secret): &(String, String), wanted: &str| {
        let client = client_at(&replica.api.base, access_key, secret);
        eventually(wanted, || async {
            let created = create(&client, DISTRIBUTION, batch("r", &["/*"])).await;
            let outcome = created.unwrap_or_else(|(_, code, _)| code);
            (outcome == wanted || wanted == "accepted" && outcome.len() == 36).then_some(outcome)
        })
        .await
    };

    let made = run(&variables, &["key", "create", "SkyCMS", "--home"]).await;
    assert_eq!(made.code(), 0, "{made:?}");
    assert!(made.stderr.contains("shown this once"), "{made:?}");
    let pair = printed(&made.stdout);
    let id = becomes(&pair, "accepted").await;
    assert_eq!(
        replica.api.get_publish(&id).await["items"],
        json!(["/", "/index.html"])
    );

    let listed = run(&variables, &["key", "list", "--json"]).await.json();
    assert_eq!(
        (
            &listed["access_key_id"],
            &listed["name"],
            &listed["everything"]
        ),
        (&json!(pair.0), &json!("SkyCMS"), &json!("home"))
    );
    assert!(listed["rotated_at"].is_null(), "{listed}");
    eventually("its use to be noted", || async {
        let said = run(&variables, &["key", "list"]).await;
        assert!(said.stdout.contains("`/*` is the home page"), "{said:?}");
        (!said.stdout.contains("never used")).then_some(())
    })
    .await;

    let rotated = run(&variables, &["key", "rotate", &pair.0]).await;
    assert_eq!(rotated.code(), 0, "{rotated:?}");
    let next = printed(&rotated.stdout);
    assert_eq!(next.0, pair.0, "rotated in place");
    assert_ne!(next.1, pair.1);
    becomes(&pair, "SignatureDoesNotMatch").await;
    becomes(&next, "accepted").await;

    let revoked = run(&variables, &["key", "revoke", &pair.0]).await;
    revoked.assert_ok();
    becomes(&next, "InvalidClientTokenId").await;
    let listed = run(&variables, &["key", "list"]).await;
    listed.assert_ok();
    assert_eq!(listed.stdout, "");
    run(&variables, &["key", "revoke", &pair.0])
        .await
        .assert_ended(2, &["the site has no key pair"]);
    run(&variables, &["key", "create", "x", "--site", "shop"])
        .await
        .assert_ended(2, &["there is no site `shop`"]);
    for name in ["", " ", "a\nb", &"x".repeat(101)] {
        run(&variables, &["key", "create", name])
            .await
            .assert_ended(2, &["must have 1 to 100 characters"]);
    }
    let mut connection = database.connect().await;
    let audit: Vec<String> = sqlx::query_scalar("SELECT what FROM audit ORDER BY at")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!(audit.len(), 3, "{audit:?}");
}

/// Nobody could show it again, and an error would have it made once more.
#[tokio::test]
async fn a_secret_is_printed_though_it_cannot_be_written_down_who_made_it() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let variables = variables(&database, &sandbox);
    let _replica = Replica::start_with(&variables).await;
    database
        .change("ALTER TABLE audit ADD CONSTRAINT full_disk CHECK (false) NOT VALID")
        .await;
    let said = ["shown this once", "could not record in the audit log"];
    let made = run(&variables, &["key", "create", "SkyCMS"]).await;
    made.assert_ended(0, &said);
    let (access_key, secret) = printed(&made.stdout);
    let rotated = run(&variables, &["key", "rotate", &access_key]).await;
    rotated.assert_ended(0, &said);
    assert_ne!(printed(&rotated.stdout).1, secret);
    let made = run(&variables, &["site", "create", "shop"]).await;
    made.assert_ended(0, &said);
    assert!(made.stdout.starts_with("skycdn_"), "{made:?}");
}

/// What a new one sealed, the service could not open.
#[tokio::test]
async fn a_lost_key_file_is_not_replaced_beside_what_it_sealed() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut variables = variables(&database, &sandbox);
    variables.remove("DATABASE_URL");
    variables.remove("ENCRYPTION_KEY");
    variables.insert("DATA_DIR".into(), data.to_str().unwrap().into());
    let mut replica = Replica::start_with(&variables).await;
    let (file, backup) = (data.join("encryption.key"), directory.path().join("backup"));
    std::fs::rename(&file, &backup).unwrap();
    let create = ["key", "create", "SkyCMS"];
    let words = ["encryption.key: is missing", "from a backup"];
    run(&variables, &create).await.assert_ended(1, &words);
    assert!(!file.exists());

    // Nor when the service is stopped, by whatever comes first.
    assert!(replica.terminate().await.success());
    for arguments in [&create[..], &["prune"], &["rotate-encryption-key"]] {
        run(&variables, arguments).await.assert_ended(1, &words);
        assert!(!file.exists(), "{arguments:?}");
    }
    let said = refusal(&variables).await;
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(!file.exists());

    std::fs::rename(&backup, &file).unwrap();
    assert_eq!(run(&variables, &create).await.code(), 0);
    // Lost for good: what it sealed goes, and then there is a new one.
    std::fs::remove_file(&file).unwrap();
    let removed = run(
        &variables,
        &["rotate-encryption-key", "--remove-unreadable"],
    )
    .await;
    removed.assert_ok();
    assert!(file.exists());
    assert_eq!(run(&variables, &create).await.code(), 0);
    assert!(Replica::start_with(&variables).await.health().is_ok());
}

/// As by somebody who has not started the service yet.
#[tokio::test]
async fn the_key_of_a_database_that_a_command_has_made_is_written_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let variables = named(&[("DATA_DIR", data.to_str().unwrap())]);
    let rotated = run(&variables, &["rotate-encryption-key"]).await;
    assert_eq!(rotated.code(), 0, "{rotated:?}");
    assert!(data.join("encryption.key").exists());
    run(&variables, &["rotate-encryption-key"])
        .await
        .assert_ok();
}

/// What another key sealed, the service could not open.
#[tokio::test]
async fn nothing_is_sealed_with_a_key_that_does_not_open_what_is_stored() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let variables = variables(&database, &sandbox);
    let _replica = Replica::start_with(&variables).await;
    let mut of_another = variables.clone();
    let another = "H25Qb2BwQdEuAjPoGWoSeIpKRtlIoxzoqpCb6YIPtF0=";
    of_another.insert("ENCRYPTION_KEY".into(), another.into());
    for arguments in [
        &["key", "create", "SkyCMS"][..],
        &["site", "create", "shop"],
    ] {
        run(&of_another, arguments)
            .await
            .assert_ended(1, &["ENCRYPTION_KEY: does not open the saved secrets"]);
    }
    let listed = run(&variables, &["key", "list"]).await;
    listed.assert_ok();
    assert_eq!(listed.stdout, "");
}
