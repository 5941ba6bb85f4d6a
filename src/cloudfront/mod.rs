//! CloudFront through the AWS SDK, and nothing else: one call, one outcome. No retry, no sleep, no
//! SQL.

mod authorities;
mod classify;
mod client;
mod default_credentials;
mod http;

pub use authorities::{NoAuthorities, authorities_are_known};
pub use client::{CloudFront, Options};

#[cfg(test)]
mod tests;
