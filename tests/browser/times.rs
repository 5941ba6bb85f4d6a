//! Times are the reader's: in their zone, with the exact time on hover, and plain UTC without
//! scripts.

use serde_json::json;

use crate::browser::Browser;
use crate::driver::Scripts;
use crate::stage::Stage;
use crate::support::eventually;

#[tokio::test]
async fn times_are_in_the_zone_of_the_reader() {
    let stage = Stage::set_up(Scripts::On).await;
    let browser = &stage.browser;
    let zone = json!({ "timezoneId": "Asia/Kolkata" });
    browser
        .driver
        .devtools("Emulation.setTimezoneOverride", zone)
        .await;
    let (exact, text, title) = times(&stage, browser, ".timeline time").await;
    assert!(title.contains("GMT+5:30"), "{title}");
    let in_india = exact + time::Duration::minutes(330);
    let clock = format!(
        "{:02}:{:02}:{:02}",
        in_india.hour(),
        in_india.minute(),
        in_india.second()
    );
    assert!(
        text.ends_with(&clock) && title.contains(&clock),
        "{text}, {title}: {clock}"
    );

    browser.open("/activity").await;
    let age = browser.text("#publishes time").await;
    assert!(age == "just now" || age.ends_with(" s ago"), "{age}");
    let title = browser.attribute("#publishes time", "title").await.unwrap();
    assert!(title.contains("GMT+5:30"), "{title}");

    // In the chart too.
    let title = "const title = document.querySelector('.chart rect title');
        return title ? [title.dataset.hour, title.textContent] : null";
    let hour = eventually("the hour of the publish", || async {
        browser.open("/activity").await;
        let told = browser.run(title).await;
        Some([told[0].as_str()?.to_owned(), told[1].as_str()?.to_owned()])
    })
    .await;
    let [began, text] = hour;
    let format = &time::format_description::well_known::Rfc3339;
    let began = time::OffsetDateTime::parse(&began, format).unwrap() + time::Duration::minutes(330);
    let clock = format!(
        "{:02}:{:02}:{:02}",
        began.hour(),
        began.minute(),
        began.second()
    );
    assert!(
        text.starts_with("1 from ") && text.ends_with(&clock),
        "{text}: {clock}"
    );
    stage.finish().await;
}

#[tokio::test]
async fn times_are_utc_without_scripts() {
    let stage = Stage::set_up(Scripts::Off).await;
    let (exact, text, title) = times(&stage, &stage.browser, ".timeline time").await;
    let clock = format!(
        "{:02}:{:02}:{:02} UTC",
        exact.hour(),
        exact.minute(),
        exact.second()
    );
    assert!(
        text.ends_with(&clock) && title.ends_with(&clock),
        "{text}, {title}: {clock}"
    );
    stage.finish().await;
}

/// The time that a page tells programs, readers, and readers who point at it.
async fn times(
    stage: &Stage,
    browser: &Browser,
    css: &str,
) -> (time::OffsetDateTime, String, String) {
    let id = stage.api().publish_path("/about").await;
    browser.open(&format!("/activity/{id}")).await;
    let exact = browser.attribute(css, "datetime").await.unwrap();
    let format = &time::format_description::well_known::Rfc3339;
    (
        time::OffsetDateTime::parse(&exact, format).unwrap(),
        browser.text(css).await,
        browser.attribute(css, "title").await.unwrap(),
    )
}
