//! `site`: sites come and go while the service runs.

use serde_json::json;

use super::run::{publisher, run};
use crate::support::{
    DISTRIBUTION, Database, Replica, SECRET, Sandbox, Variables, eventually, variables,
};

/// Whoever forgot the service's variables would else be given a token that nobody takes.
#[tokio::test]
async fn a_database_that_a_command_has_to_make_is_spoken_of() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data").to_str().unwrap().to_owned();
    let words = format!("creating a new database in {data}");
    let variables = Variables::from([("DATA_DIR".to_owned(), data)]);
    let made = run(&variables, &["site", "list"]).await;
    assert_eq!(made.code(), 0, "{made:?}");
    assert!(made.stderr.contains(&words), "{made:?}");
    run(&variables, &["site", "list"]).await.assert_ok();
}

#[tokio::test]
async fn a_permission_of_the_environment_is_said_to_come_back() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let mut variables = variables(&database, &sandbox);
    let given = format!("default={DISTRIBUTION}");
    variables.insert("AWS_DEFAULT_CREDENTIALS_FOR".into(), given);
    let _replica = Replica::start_with(&variables).await;
    let forbid = [
        "site",
        "forbid-default-credentials",
        "default",
        DISTRIBUTION,
    ];
    let forbidden = run(&variables, &forbid).await;
    forbidden.assert_ok();
    let words = "AWS_DEFAULT_CREDENTIALS_FOR of the service allows comes back";
    assert!(forbidden.stdout.contains(words), "{forbidden:?}");
    run(&variables, &forbid)
        .await
        .assert_ended(2, &["could not use the AWS default credentials"]);
}

#[tokio::test]
async fn a_site_is_made_used_renamed_and_removed_beside_a_running_service() {
    let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
    let variables = variables(&database, &sandbox);
    let replica = Replica::start_with(&variables).await;
    let made = run(&variables, &["site", "create", "shop"]).await;
    assert_eq!(made.code(), 0, "{made:?}");
    let token = made.stdout.trim();
    assert!(token.starts_with("skycdn_"), "{made:?}");
    run(&variables, &["site", "create", "shop"])
        .await
        .assert_ended(2, &["there is a site `shop` already"]);
    run(&variables, &["site", "create", "My Shop"])
        .await
        .assert_ended(2, &["must be 1 to 63"]);

    let publisher = publisher(&replica.api.base, token);
    let publish = ["publish", "--site", "shop", "--wait", "/about"];
    eventually("the service to know the site", || async {
        let said = run(&publisher, &publish).await;
        (said.code() == 1).then(|| said.assert_ended(1, &["no CDN settings"]))
    })
    .await;
    sandbox
        .add_tenant("E2SHOP00000001", "AKIASHOP000000000001")
        .await;
    let value = json!({ "DistributionId": "E2SHOP00000001", "AccessKeyId": "AKIASHOP000000000001", "SecretAccessKey": SECRET });
    let row = json!({ "CdnProvider": 3, "Value": value.to_string() }).to_string();
    super::run::run_with_input(&variables, &["import-skycms", "--site", "shop"], &row)
        .await
        .assert_ok();
    eventually("the service to know the settings", || async {
        (run(&publisher, &publish).await.code() == 0).then_some(())
    })
    .await;
    let list = run(&variables, &["site", "list"]).await;
    assert!(
        list.stdout
            .contains("shop                     E2SHOP00000001\n"),
        "{list:?}"
    );
    assert_eq!(
        run(&variables, &["check", "--json"]).await.json()["checks"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|c| c["check"] == "aws")
            .count(),
        2
    );

    run(&variables, &["site", "rename", "shop", "shop"])
        .await
        .assert_ended(2, &["there is a site `shop` already"]);
    let renamed = run(&variables, &["site", "rename", "shop", "store"]).await;
    renamed.assert_ok();
    assert!(renamed.stdout.contains("answered 404"), "{renamed:?}");
    eventually("the old name to be gone", || async {
        let said = run(&publisher, &publish).await;
        (said.code() == 2).then(|| said.assert_ended(2, &["There is no site `shop`"]))
    })
    .await;
    run(
        &publisher,
        &["publish", "--site", "store", "--wait", "/about"],
    )
    .await
    .assert_ok();

    run(&variables, &["site", "remove", "store"])
        .await
        .assert_ended(2, &["--yes", "stays accepted"]);
    run(&variables, &["site", "remove", "store", "--yes"])
        .await
        .assert_ok();
    eventually("the site to be gone", || async {
        let said = run(&publisher, &["publish", "--site", "store", "/about"]).await;
        (said.code() == 2).then(|| said.assert_ended(2, &["There is no site `store`"]))
    })
    .await;
    for (arguments, words) in [
        (
            ["site", "remove", "store", "--yes"],
            "there is no site `store`",
        ),
        (
            ["site", "remove", "default", "--yes"],
            "`default` stays as it is",
        ),
        (
            ["site", "rename", "default", "main"],
            "`default` stays as it is",
        ),
    ] {
        run(&variables, &arguments).await.assert_ended(2, &[words]);
    }
    let list = run(&variables, &["site", "list", "--json"]).await;
    assert_eq!(
        list.json(),
        json!([{ "name": "default", "distribution_id": "E2SANDBOX0CDN1", "paused": false }])
    );
}
