//! CloudFront through the AWS SDK, and nothing else: one call, one outcome. No retry, no sleep, no
//! SQL.

mod classify;
mod client;
mod default_credentials;
mod http;

pub use self::client::CloudFront;
pub use self::http::{NoAuthorities, authorities_are_known};

#[cfg(test)]
mod tests;
