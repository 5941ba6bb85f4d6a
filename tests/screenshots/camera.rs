//! Takes pictures of the page that a browser shows.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::browser::Browser;

/// How much of a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Its top: what is below is on another picture.
    Top,
}

/// Where pictures go, and which are wanted.
pub(crate) struct Camera {
    directory: PathBuf,
    format: String,
    wanted: Vec<String>,
}

impl Camera {
    /// `DIRECTORY FORMAT [NAME…]`: only the pictures whose name begins with a NAME.
    pub(crate) fn from_arguments() -> Self {
        let mut arguments = std::env::args().skip(1);
        let directory: PathBuf = arguments.next().expect("a directory").into();
        let format = arguments.next().expect("webp or png");
        fs::create_dir_all(&directory).unwrap();
        Self {
            directory,
            format,
            wanted: arguments.collect(),
        }
    }

    /// The page as it is now, at 1280 and 375 pixels, light and dark.
    pub(crate) async fn take(&self, browser: &Browser, name: &str, extent: Extent) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|start| name.starts_with(start)) {
            return;
        }
        println!("{name}");
        browser
            .run("document.activeElement.blur(); scrollTo(0, 0)")
            .await;
        let hidden = json!({ "hidden": true });
        let driver = &browser.driver;
        driver
            .devtools("Emulation.setScrollbarsHidden", hidden)
            .await;
        for (width, top) in [(1280, 1_100), (375, 1_500)] {
            for scheme in ["light", "dark"] {
                self.shoot(browser, name, width, top, scheme, extent).await;
            }
        }
        driver
            .devtools("Emulation.clearDeviceMetricsOverride", json!({}))
            .await;
        driver
            .devtools("Emulation.setEmulatedMedia", json!({ "features": [] }))
            .await;
    }

    async fn shoot(
        &self,
        browser: &Browser,
        name: &str,
        width: u32,
        top: u64,
        scheme: &str,
        extent: Extent,
    ) {
        let driver = &browser.driver;
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        driver
            .devtools(
                "Emulation.setEmulatedMedia",
                json!({ "features": features }),
            )
            .await;
        let size = |height| json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        driver
            .devtools("Emulation.setDeviceMetricsOverride", size(600))
            .await;
        let script = "return document.documentElement.getBoundingClientRect().height";
        let height = browser.run(script).await.as_f64().unwrap().ceil() as u64;
        let height = match extent {
            Extent::Whole => height,
            Extent::Top => height.min(top),
        };
        driver
            .devtools("Emulation.setDeviceMetricsOverride", size(height))
            .await;
        let quality = json!({ "format": self.format, "quality": 60 });
        let told = driver.devtools("Page.captureScreenshot", quality).await;
        let picture = STANDARD.decode(told["data"].as_str().unwrap()).unwrap();
        let file = format!("{name}-{width}-{scheme}.{}", self.format);
        fs::write(self.directory.join(file), picture).unwrap();
    }
}
