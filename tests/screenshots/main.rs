//! Writes a picture of every page: the real service before the sandbox, driven through a day of a
//! newspaper. Run by `script/screenshots`.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods
)]

#[path = "../browser/browser.rs"]
mod browser;
#[path = "../browser/driver.rs"]
mod driver;
#[path = "../browser/stage.rs"]
mod stage;
#[path = "../support/mod.rs"]
mod support;

mod camera;
mod day;
mod scenes;

use crate::camera::Camera;

#[tokio::main]
async fn main() {
    let camera = Camera::from_arguments();
    scenes::fresh(&camera).await;
    scenes::at_work(&camera).await;
}
