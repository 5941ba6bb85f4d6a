//! Renders every page with sample data to a directory, for screenshots: `cargo run --example pages -- DIR`.

use std::{fs, path::PathBuf};

#[path = "pages/samples.rs"]
mod samples;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory: PathBuf = std::env::args_os().nth(1).ok_or("usage: pages DIR")?.into();
    let assets = directory.join("static");
    fs::create_dir_all(&assets)?;
    fs::write(assets.join("style.css"), skycms_cdn::web::views::STYLE)?;
    fs::write(assets.join("app.js"), skycms_cdn::web::views::SCRIPT)?;
    fs::write(assets.join("icon.svg"), skycms_cdn::web::views::ICON)?;
    for (name, html) in samples::pages() {
        fs::write(directory.join(name).with_extension("html"), html?)?;
    }
    Ok(())
}
