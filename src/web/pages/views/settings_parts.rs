use askama::Template;
use time::OffsetDateTime;

use super::{
    assets::VERSION,
    layout::Layout,
    parts::{Field, Meter},
    purge::Preview,
};
use crate::domain::test_report::TEST_PATH;
use crate::domain::{DistributionId, Partition, PastLimit, PolicyName, policy_document};

/// The least-privilege policy. The script follows what is typed.
#[derive(Clone, Debug)]
pub struct IamPolicy {
    /// For the distribution that is entered, if there is one.
    pub shown: String,
    /// For a distribution and for a tenant of one, with [`YOUR_ID`] in place of its ID.
    pub of_distribution: String,
    pub of_tenant: String,
}

/// Where the ID goes that nobody has entered yet.
const YOUR_ID: &str = "YOUR_DISTRIBUTION_ID";

impl IamPolicy {
    pub fn new(distribution: Option<&DistributionId>, partition: Partition) -> Self {
        let tenant = "dt_000000000000000000000000000";
        let of_tenant = policy_document(DistributionId::parse(tenant).ok().as_ref(), partition);
        Self {
            shown: policy_document(distribution, partition),
            of_distribution: policy_document(None, partition),
            of_tenant: of_tenant.replace(tenant, YOUR_ID),
        }
    }
}

/// The publish hook, and what publishers prove themselves with.
///
/// Forms: `POST …/settings/cdn/tokens` (`name`), `…/settings/cdn/tokens/{id}/revoke`,
/// `…/settings/cdn/secrets` and `…/settings/cdn/secrets/{id}/revoke`.
#[derive(Template)]
#[template(path = "settings/hook.html")]
pub struct HookPage {
    /// What every page shares.
    pub layout: Layout,
    /// The absolute address that publishers call.
    pub url: String,
    /// Tokens and secrets that were just created; each is shown this once.
    pub revealed: Vec<Revealed>,
    /// The bearer tokens.
    pub tokens: Vec<Token>,
    /// The name of a new one, as it was typed.
    pub token_name: Field,
    /// The signing secrets, newest first.
    pub secrets: Vec<SigningSecret>,
    /// The address for AWS SDKs.
    pub endpoint: String,
    /// The key pairs, oldest first: `POST …/settings/cdn/keys` (`name`, `everything`),
    /// `…/keys/{id}/rotate`, `…/keys/{id}/revoke`.
    pub keys: Vec<KeyPair>,
    /// What was typed for a new one.
    pub key_name: Field,
    pub key_is_home: bool,
}

impl HookPage {
    /// The token that is shown this once, for the example; else the name of a variable.
    fn bearer(&self) -> &str {
        let token = self.revealed.iter().find(|revealed| revealed.is_token);
        token.map_or("$PUBLISH_TOKEN", |revealed| &revealed.value)
    }
}

/// A token or signing secret, shown once. The only secret in any view model; it has no `Debug`.
pub struct Revealed {
    /// What it is: “Publish token “default””.
    pub name: String,
    /// The secret itself.
    pub value: String,
    /// It is a publish token.
    pub is_token: bool,
}

/// A key pair for senders that speak CloudFront's own API.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// Its id in addresses.
    pub id: String,
    pub access_key_id: String,
    pub name: String,
    /// Whether its sender means the home page by `/*`.
    pub everything_is_home: bool,
    /// When it got the secret it has.
    pub created_at: OffsetDateTime,
    pub last_used: Option<OffsetDateTime>,
}

/// A bearer token.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id in addresses.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its last four characters.
    pub ending: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used: Option<OffsetDateTime>,
    /// It waits to be shown, once: `POST …/settings/cdn/tokens/{id}/reveal`.
    pub unrevealed: bool,
}

/// A signing secret; all of them are valid, so that rotation needs no pause.
#[derive(Clone, Debug)]
pub struct SigningSecret {
    /// Its id in addresses.
    pub id: String,
    /// When it was created.
    pub created_at: OffsetDateTime,
    /// When it was last used.
    pub last_used: Option<OffsetDateTime>,
    /// It waits to be shown, once: `POST …/settings/cdn/secrets/{id}/reveal`.
    pub unrevealed: bool,
}

/// What publishers may send, and what goes with it.
#[derive(Template)]
#[template(path = "settings/publishing.html")]
pub struct PublishingPage {
    /// What every page shares.
    pub layout: Layout,
    /// The form.
    pub publishing: PublishingForm,
}

/// `POST …/settings/cdn/publishing`.
#[derive(Clone, Debug)]
pub struct PublishingForm {
    /// `public_address`: where readers find the site.
    pub public_address: Field,
    /// `origin_path`: the folder of the origin at which the distribution begins.
    pub origin_path: Field,
    /// `hosts`: publisher hosts, one per line.
    pub hosts: Field,
    /// `related`: what else a publish purges, a rule per line.
    pub related: Field,
    /// `directory_variants`: `/about` also means `/about/` and `/about/index.html`.
    pub directory_variants: bool,
    /// `try`: pages to try the rules on, with `action=try`.
    pub tried: Field,
    /// What a publish of those would purge.
    pub preview: Option<Preview>,
    /// `version`: of the rules that the form was filled in from.
    pub version: i32,
    /// What somebody else has saved since: (what, its value).
    pub conflict: Vec<(&'static str, String)>,
}

/// What may be spent, and what was.
#[derive(Template)]
#[template(path = "settings/spending.html")]
pub struct SpendingPage {
    /// What every page shares.
    pub layout: Layout,
    /// The form.
    pub spending: SpendingForm,
    /// This month's paths and their cost.
    pub meter: Option<Meter>,
}

/// `POST …/settings/cdn/policy`.
#[derive(Clone, Debug)]
pub struct SpendingForm {
    /// `policy`.
    pub policy: PolicyName,
    /// `fold_above`: how many items a batch may hold before *economical* folds it.
    pub fold_above: Field,
    /// `monthly_limit`: paths a month; empty for none.
    pub monthly_limit: Field,
    /// `past_limit`.
    pub past_limit: PastLimit,
    /// `version`: of the values that the form was filled in from.
    pub version: i32,
    /// What somebody else has saved since: (what, its value).
    pub conflict: Vec<(&'static str, String)>,
}

impl SpendingForm {
    pub(super) fn is(&self, policy: PolicyName) -> bool {
        self.policy == policy
    }
}
