//! What people read stands in few places, so that the same thing is called the same, and a
//! translation is possible.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_elsewhere = name.starts_with("words") || name.starts_with("tests");
        match path.is_dir() {
            _ if is_elsewhere => {}
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The literals of a source file, without comments, attributes, tests and what is logged.
fn literals(source: &str) -> Vec<String> {
    let source = source.split("#[cfg(test)]").next().unwrap();
    let (mut found, mut text) = (Vec::new(), String::new());
    let (mut is_open, mut was_escape) = (false, false);
    let mut statement = String::new();
    for line in source.lines() {
        if !is_open && line.trim_start().starts_with("//") {
            continue;
        }
        for character in line.chars().chain(['\n']) {
            match character {
                '"' if !was_escape && is_open => {
                    is_open = false;
                    let is_told = ["tracing::", "#[error", "#[template", "#[allow", "#[expect"]
                        .iter()
                        .any(|start| statement.contains(start));
                    if !is_told {
                        found.push(std::mem::take(&mut text));
                    }
                    text.clear();
                }
                '"' if !was_escape && !statement.ends_with('\'') => is_open = true,
                _ if is_open => text.push(character),
                ';' | '}' | ']' => statement.clear(),
                _ => statement.push(character),
            }
            was_escape = character == '\\' && !was_escape;
        }
    }
    found
}

/// Three words or more in a row, which is no name, address or header.
fn is_prose(literal: &str) -> bool {
    let words = literal.split(' ').filter(|word| {
        let word = word.trim_end_matches(['.', ',', ':', ';', '?', '!']);
        word.chars().count() > 1 && word.chars().all(|c| c.is_alphabetic() || c == '’')
    });
    let is_code = ["-src ", "{%"].iter().any(|code| literal.contains(code));
    words.count() >= 3 && !is_code
}

#[test]
fn prose_of_the_pages_stands_in_templates_and_words() {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web/pages");
    let files = files(&web);
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        for literal in literals(&fs::read_to_string(&file).unwrap()) {
            assert!(
                !is_prose(&literal),
                "{} says “{literal}”: put it into src/web/pages/words/",
                file.display()
            );
        }
    }
}

#[test]
fn prose_is_distinguished_from_names() {
    let source = r#"
        // "A comment is not looked at"
        tracing::warn!(%error, "what is logged is not either");
        let header = ("content-type", "text/html; charset=utf-8");
        let told = format!("The user name is {wrong}.");
    "#;
    let found: Vec<_> = literals(source)
        .into_iter()
        .filter(|l| is_prose(l))
        .collect();
    assert_eq!(found, ["The user name is {wrong}."]);
}
