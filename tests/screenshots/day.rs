//! A day of a newspaper, published through the service itself with time handed in, so that there is
//! a past to show.

use std::sync::Arc;

use serde_json::{Value, json};
use time::Duration;

use crate::support::{DISTRIBUTION, Database, KEY, Sandbox, Stepped};

/// Publishes in each of the last 24 hours, oldest first.
const HOURS: [u32; 24] = [
    0, 0, 0, 1, 0, 2, 4, 6, 9, 11, 12, 8, 7, 10, 13, 15, 11, 7, 4, 3, 2, 0, 1, 4,
];

const STORIES: [&str; 12] = [
    "/news/harbour-bridge-opens",
    "/news/council-votes-on-budget",
    "/sport/united-win-in-the-rain",
    "/news/ferry-timetable-changes",
    "/culture/the-library-at-night",
    "/opinion/who-owns-the-river",
    "/news/school-roof-repaired",
    "/sport/marathon-route",
    "/culture/a-play-about-salt",
    "/news/market-square-reopens",
    "/weather/first-snow",
    "/news/night-trains-return",
];

/// What ended badly on that day.
pub(crate) struct Past {
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) failed: String,
    pub(crate) unconfirmed: String,
}

/// Lives through the day, and ends now.
pub(crate) async fn live_through(database: &Database) -> Past {
    let mut random = fastrand::Rng::with_seed(6);
    let sandbox = Arc::new(Sandbox::start_with(600_000).await);
    sandbox
        .config(json!({ "already_used": "invalid_argument" }))
        .await;
    let of_the_day = Database::at(database.url.clone());
    let service =
        Stepped::start_on(of_the_day, Arc::clone(&sandbox), &[], -Duration::hours(24)).await;
    service.activate(service.site(), DISTRIBUTION, KEY).await;
    let (mut failed, mut unconfirmed) = (String::new(), String::new());
    for (hour, publishes) in HOURS.into_iter().enumerate() {
        let mut left = 3_600;
        for number in 0..publishes {
            let story = STORIES[random.usize(..STORIES.len())];
            let body = json!({ "paths": [story, "root", "/feed.xml"] });
            left -= publish(&service, body, random.i64(6..19)).await;
            let pause = (left - 25).max(0) / i64::from(publishes - number);
            let pause = random.i64(pause / 2..=pause.max(1));
            service.pass(pause).await;
            left -= pause;
        }
        if hour == 22 {
            let fault = json!({ "kind": "drop_answer" });
            service.sandbox.fail_creates(1, fault).await;
            unconfirmed = send(&service, "/weather/storm-warning").await;
            service.run_until_ended(&unconfirmed).await;
            let message = "Your request contains one or more invalid invalidation paths.";
            let fault = json!({ "kind": "error", "code": "InvalidArgument", "message": message });
            service.sandbox.fail_creates(1, fault).await;
            failed = send(&service, "/files/annual report 2026.pdf").await;
            service.run_until_ended(&failed).await;
            left -= 20;
        }
        service.pass(left.max(0)).await;
    }
    Past {
        sandbox,
        failed,
        unconfirmed,
    }
}

/// Publishes a path, which is sent a moment later.
async fn send(service: &Stepped, path: &str) -> String {
    let id = service.api.publish_path(path).await;
    service.advance(Duration::milliseconds(240));
    service.run().await;
    id
}

/// Publishes, and lets CloudFront complete it after some seconds; gives how many passed in all.
async fn publish(service: &Stepped, body: Value, seconds: i64) -> i64 {
    let publish = service.api.publish(body).await;
    let id = publish["id"].as_str().unwrap();
    service.advance(Duration::milliseconds(90 + seconds * 17));
    service.run().await;
    let mut passed = 0;
    loop {
        service.pass(1).await;
        passed += 1;
        if passed == seconds {
            service.sandbox.complete().await;
        }
        if passed > seconds && crate::support::has_ended(&service.api.get_publish(id).await) {
            return passed;
        }
    }
}
