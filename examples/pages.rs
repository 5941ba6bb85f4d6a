//! Renders every page with sample data to a directory, for screenshots: `cargo run --example pages -- DIR`.

use std::{fs, path::PathBuf};

use askama::Template;

#[path = "pages/samples.rs"]
mod samples;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("usage: pages DIR")?.into();
    let assets = directory.join("static");
    fs::create_dir_all(&assets)?;
    fs::write(assets.join("style.css"), skycms_cdn::web::views::STYLE)?;
    fs::write(assets.join("app.js"), skycms_cdn::web::views::SCRIPT)?;
    fs::write(assets.join("icon.svg"), skycms_cdn::web::views::ICON)?;
    let pages = [
        ("settings-new", samples::settings_new().render()?),
        ("settings-connected", samples::settings_connected().render()?),
        ("settings-failed", samples::settings_failed().render()?),
        ("settings-testing", samples::settings_testing().render()?),
        ("settings-errors", samples::settings_errors().render()?),
        ("activity", samples::activity().render()?),
        ("activity-empty", samples::activity_empty().render()?),
        ("publish", samples::publish().render()?),
        ("publish-failed", samples::publish_failed().render()?),
        ("purge", samples::purge().render()?),
        ("purge-errors", samples::purge_errors().render()?),
        ("sign-in", samples::sign_in().render()?),
        ("set-up", samples::set_up().render()?),
        ("password", samples::password().render()?),
        ("audit", samples::audit().render()?),
        ("error", samples::error().render()?),
        ("confirm", samples::confirm().render()?),
    ];
    for (name, html) in pages {
        fs::write(directory.join(name).with_extension("html"), html)?;
    }
    Ok(())
}
