//! A stateful stand-in for CloudFront's invalidation API.
fn main() {}
