//! SkyCMS's CDN settings backend: tells Amazon CloudFront what to forget after a publish.

pub mod cloudfront;
pub mod domain;
pub mod postgres;
pub mod web;
