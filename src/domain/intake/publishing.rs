//! What a site's owner decided about its publishes, as one form changes it.

use super::RelatedRule;
use crate::domain::{OriginPath, PublisherHost, edge::PublicAddress};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Publishing {
    /// Where readers find the site, if its pages are looked at there.
    pub public_address: Option<PublicAddress>,
    /// Where in its origin the distribution begins.
    pub origin_path: OriginPath,
    /// Hosts whose absolute URLs are accepted; none means any.
    pub hosts: Vec<PublisherHost>,
    /// What goes with a publish of certain pages, or of any.
    pub related: Vec<RelatedRule>,
    /// Whether `/about` also means `/about/` and `/about/index.html`.
    pub directory_variants: bool,
}
