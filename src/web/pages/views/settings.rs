use askama::Template;

use super::layout::Layout;
use super::paging::{ListPage, Paging};
use super::parts::{Field, Meter, Prose};
use super::purge::Preview;
use crate::domain::test_report::TEST_PATH;
use crate::domain::{PastLimit, Policy};
use crate::store::{HookSecretView, KeyPairView, RefusedCall, TokenView};
use crate::web::pages::words;

/// The publish hook, and what publishers authenticate with.
#[derive(Template)]
#[template(path = "settings/hook.html")]
pub struct HookPage {
    pub layout: Layout,
    /// The absolute address that publishers call.
    pub url: String,
    /// Tokens and secrets that were just created, each shown only this once.
    pub revealed: Vec<Revealed>,
    /// Newest first.
    pub tokens: ListPage<TokenView>,
    pub token_name: Field,
    /// Newest first.
    pub secrets: ListPage<HookSecretView>,
    /// Why no secret was created.
    pub secret_error: Option<String>,
    /// The address for AWS SDKs.
    pub endpoint: String,
    /// Newest first.
    pub keys: ListPage<KeyPairView>,
    pub key_name: Field,
    pub key_is_home: bool,
}

impl HookPage {
    fn hook_path(&self) -> String {
        format!("{}/settings/cdn/hook", self.layout.base)
    }

    /// For the example: the token that was just created, or the name of a variable.
    fn bearer(&self) -> &str {
        let token = self.revealed.iter().find(|revealed| revealed.is_token);
        token.map_or("$PUBLISH_TOKEN", |revealed| &revealed.value)
    }
}

/// A token or signing secret that is shown once. The only secret in any view model, so it has no
/// `Debug`.
pub struct Revealed {
    /// What it is: “Publish token “default””.
    pub name: String,
    pub value: String,
    pub is_token: bool,
}

impl Revealed {
    pub(crate) fn new(name: impl Into<String>, value: &str) -> Self {
        Self {
            name: name.into(),
            value: value.to_owned(),
            is_token: false,
        }
    }
}

/// What publishers may send, and what is purged along with it.
#[derive(Template)]
#[template(path = "settings/publishing.html")]
pub struct PublishingPage {
    pub layout: Layout,
    pub publishing: PublishingForm,
}

#[derive(Clone, Debug, Default)]
pub struct PublishingForm {
    /// `public_address`: where readers find the site.
    pub public_address: Field,
    /// `origin_path`: the folder of the origin that the distribution serves.
    pub origin_path: Field,
    pub hosts: Field,
    /// `related`: what else a publish purges, one rule per line.
    pub related: Field,
    /// `directory_variants`: `/about` also means `/about/` and `/about/index.html`.
    pub directory_variants: bool,
    /// `try`: pages to try the rules on, with `action=try`.
    pub tried: Field,
    /// What a publish of these pages would purge.
    pub preview: Option<Preview>,
    /// `version`: of the rules that the form was filled in from.
    pub version: i32,
    /// What somebody else has saved since: (what, its value).
    pub conflict: Vec<(&'static str, String)>,
}

/// How much may be sent, and what was.
#[derive(Template)]
#[template(path = "settings/spending.html")]
pub struct SpendingPage {
    pub layout: Layout,
    pub spending: SpendingForm,
    pub meter: Meter,
}

#[derive(Clone, Debug)]
pub struct SpendingForm {
    pub policy: Policy,
    /// `fold_above`: how many items a batch may hold before *economical* folds it.
    pub fold_above: Field,
    /// `monthly_limit`: paths a month; empty for none.
    pub monthly_limit: Field,
    pub past_limit: PastLimit,
    /// `version`: of the values that the form was filled in from.
    pub version: i32,
    /// What somebody else has saved since: (what, its value).
    pub conflict: Vec<(&'static str, String)>,
}

/// Calls from publishers that were refused.
#[derive(Template)]
#[template(path = "settings/refused.html")]
pub struct RefusedPage {
    pub layout: Layout,
    /// Newest first.
    pub calls: Vec<RefusedCall>,
    pub paging: Paging,
}
