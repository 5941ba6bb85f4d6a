//! The real SDK over real connections, against a server that answers canned bytes.
#![allow(clippy::unwrap_used)]

mod answers;
mod canned;
mod default_credentials;
mod requests;

use std::time::Duration;

use self::canned::{Canned, Reply};
use super::CloudFront;
use crate::domain::{
    CreateOutcome, GetOutcome, InvalidationBatch, InvalidationId, Item, Settings, SettingsForm,
    TraceParent,
};

const DISTRIBUTION: &str = "E2QWRUHEXAMPLE";
const KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn settings_of(distribution: &str, key: &str, region: &str) -> Settings {
    let form = SettingsForm {
        distribution_id: distribution.to_owned(),
        access_key_id: key.to_owned(),
        secret_access_key: SECRET.into(),
        region: region.to_owned(),
        aws_default: false,
    };
    Settings::parse(&form, &[]).unwrap()
}

fn settings() -> Settings {
    settings_of(DISTRIBUTION, KEY, "us-east-1")
}

fn client(endpoint: &str) -> CloudFront {
    CloudFront::within(Duration::from_secs(60), Some(endpoint.parse().unwrap()))
}

/// For calls that nobody answers.
fn impatient(endpoint: &str) -> CloudFront {
    CloudFront::within(Duration::from_millis(700), Some(endpoint.parse().unwrap()))
}

fn batch() -> InvalidationBatch {
    InvalidationBatch {
        caller_reference: "reference-1".parse().unwrap(),
        items: ["/a?b=1&c=2", "/caf%C3%A9/*", "#article:42"]
            .map(|item| Item::from_canonical(item).unwrap())
            .to_vec(),
    }
}

async fn create_at(endpoint: &str, settings: &Settings) -> CreateOutcome {
    client(endpoint)
        .create_invalidation(settings, &batch(), None)
        .await
}

async fn create(reply: Reply) -> CreateOutcome {
    let server = Canned::start(vec![reply]).await;
    create_at(&server.endpoint, &settings()).await
}

async fn get(reply: Reply) -> GetOutcome {
    let server = Canned::start(vec![reply]).await;
    let settings = settings();
    let id: InvalidationId = "I2J0I21PCUYOIK".parse().unwrap();
    client(&server.endpoint)
        .get_invalidation(&settings, &settings.distribution_id, &id)
        .await
}

fn invalidation(status: u16, state: &str) -> Reply {
    Reply::http(
        status,
        &format!(
            "<?xml version=\"1.0\"?><Invalidation xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\">\
             <Id>I2J0I21PCUYOIK</Id><Status>{state}</Status><CreateTime>2026-11-23T12:00:00.000Z</CreateTime>\
             <InvalidationBatch><Paths><Quantity>1</Quantity><Items><Path>/a</Path></Items></Paths>\
             <CallerReference>reference-1</CallerReference></InvalidationBatch></Invalidation>"
        ),
    )
}

fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::http(
        status,
        &format!(
            "<?xml version=\"1.0\"?><ErrorResponse xmlns=\"http://cloudfront.amazonaws.com/doc/2020-05-31/\"><Error>\
             <Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>\
             <RequestId>7f9b2c1e</RequestId></ErrorResponse>"
        ),
    )
}
