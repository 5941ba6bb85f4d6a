//! The `skycms-cdn` binary.
fn main() {}
