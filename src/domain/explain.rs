//! Explaining a plan, for dry runs and previews: what becomes of each path and tag.

use serde::Serialize;
use utoipa::ToSchema;

use super::coverage::Cover;
use super::intake::Origin;
use super::plan::Plan;
use super::{Canonical, Item};

/// What becomes of one thing that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explanation {
    /// As it was given.
    pub given: String,
    /// Why it is there.
    pub origin: Origin,
    /// The rule of “Related pages” that added it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rule: Option<String>,
    /// What it means to CloudFront.
    pub items: Vec<Explained>,
}

/// What becomes of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Explained {
    /// The item.
    pub item: Item,
    /// What becomes of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// What becomes of an item in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "fate", content = "by")]
pub enum Fate {
    /// It is sent as it is.
    Sent,
    /// The site's policy put this wildcard in its place.
    Folded(Item),
    /// This wildcard, which was asked for, purges it too.
    Swallowed(Item),
    /// It has to wait for quota.
    Waits,
}

/// What the plan does with everything that was asked for.
pub fn explain(asked: &Canonical, plan: &Plan) -> Vec<Explanation> {
    let sent: Cover<'_> = plan.batches.iter().flat_map(|batch| &batch.items).collect();
    let fate = |item: &Item| match sent.covering(item) {
        None => Fate::Waits,
        Some(by) if by == item => Fate::Sent,
        Some(by) if plan.folds.contains(by) => Fate::Folded(by.clone()),
        Some(by) => Fate::Swallowed(by.clone()),
    };
    let explained = |item: &Item| Explained {
        item: item.clone(),
        fate: fate(item),
    };
    asked
        .sources
        .iter()
        .map(|source| Explanation {
            given: source.given.clone(),
            origin: source.origin,
            rule: source.rule.clone(),
            items: source.items.iter().map(explained).collect(),
        })
        .collect()
}
