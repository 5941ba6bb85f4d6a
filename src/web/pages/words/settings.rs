//! Settings → CDN.

use std::borrow::Cow;

use time::OffsetDateTime;

use super::{DONE, Look, NOTE, Question, count, exact, last_use};
use crate::domain::{DistributionId, PublisherHost, Publishing, Refused, Settings, Spending};
use crate::store::{HookSecretView, KeyPairView, PublishApi, RefusedCall, TokenView};

/// The name of the section about paths and cost.
pub const SPENDING: &str = "Paths and cost";

pub const fn endpoint(endpoint: &PublishApi) -> &'static str {
    match endpoint {
        PublishApi::Hook => "publish hook",
        PublishApi::Cloudfront => "CloudFront’s API",
    }
}

/// What is known about who made a call that was refused.
pub const fn caller(call: &RefusedCall) -> &'static str {
    match (call.proved, call.site) {
        (true, _) => "authenticated as this site",
        (false, Some(_)) => "not authenticated",
        (false, None) => "named no site of this service",
    }
}

/// What was just done, by its name in the query.
pub fn done(what: &str) -> Option<Look> {
    Some(match what {
        "saved" => DONE.means("Saved and in force. The settings have not passed a test."),
        "removed" => NOTE
            .means("The settings were removed. Nothing will be purged until new ones are saved."),
        "removed-saved" => NOTE.means(
            "The saved settings were removed. The settings from the environment are in force.",
        ),
        "rules" => DONE.means("Saved. This applies to publishes that arrive from now on."),
        "policy" => DONE.means("Saved. This applies from the next call on."),
        "revoked" => NOTE.means("Revoked. It can no longer be used."),
        "created" => DONE.means(
            "The site was added. Enter its distribution below. Its publish token is under “Publish \
             hook”.",
        ),
        "endpoint" => DONE.means("Saved. This applies to what happens from now on."),
        "test-sent" => NOTE.means("The test is on its way. Its result will be under “Deliveries”."),
        "sent-again" => {
            NOTE.means("It is on its way again. The result will be under “Deliveries”.")
        }
        "switched-on" => DONE.means(
            "Switched on. What happened while it was off is not sent; what was given up can be \
             sent again below.",
        ),
        "endpoint-removed" => {
            NOTE.means("The endpoint was removed, along with everything waiting for it.")
        }
        "discarded" => {
            NOTE.means("The draft was discarded. The settings in force have not changed.")
        }
        _ => return None,
    })
}

pub fn default_not_allowed(site: &str, distribution: &DistributionId) -> String {
    format!(
        "This site may not use AWS default credentials for {distribution}. Enter an access key, or ask whoever runs this \
         service to allow it: skycms-cdn site allow-default-credentials {site} {distribution}"
    )
}

pub fn too_many_tests(seconds: i64) -> String {
    let time = super::seconds(seconds);
    format!(
        "Nothing was saved: this site’s settings were tested too often in a short time. You can test again in {time}."
    )
}

pub const DRAFT_CHANGED: &str = "The draft has changed since you saw it, so nothing was done. The form shows what is saved now.";

pub const REMOVE: Question = Question {
    title: Cow::Borrowed("Remove the CDN settings?"),
    text: Cow::Borrowed(
        "SkyCMS will no longer be able to purge this site’s pages from CloudFront.",
    ),
    consequences: &[
        KEY_DELETED,
        "Waiting publishes are kept, and will be sent when new settings are saved.",
        "Until then, the publish hook answers with 409.",
    ],
    action: "Remove the settings",
};

/// The same where the environment has settings too.
pub const REMOVE_SAVED: Question = Question {
    title: Cow::Borrowed("Remove the saved CDN settings?"),
    text: Cow::Borrowed("The settings from the environment are then the only ones."),
    consequences: &[
        KEY_DELETED,
        "Waiting publishes are kept, and will be sent with the settings from the environment.",
    ],
    action: "Remove the settings",
};

const KEY_DELETED: &str =
    "The access key is deleted here. It stays valid in AWS until you delete it there.";

pub const USE_DRAFT: Question = Question {
    title: Cow::Borrowed("Use settings that failed their test?"),
    text: Cow::Borrowed("These settings are the draft, whose last test failed."),
    consequences: &[
        "They replace the settings in force.",
        "If AWS rejects them, purging stops for this site until they are fixed. Publishes are kept meanwhile.",
    ],
    action: "Use them anyway",
};

pub fn revoke_token(token: &TokenView, now: OffsetDateTime) -> Question {
    let which = match token.ending.as_str() {
        "" => String::new(),
        ending => format!(", which ends in {ending}"),
    };
    Question {
        title: Cow::Owned(format!("Revoke the token “{}”{which}?", token.name)),
        text: Cow::Owned(last_use(token.last_used_at, now)),
        consequences: REVOKED,
        action: "Revoke the token",
    }
}

const REVOKED: &[&str] = &[
    "Whoever publishes with it is answered with 401 from then on.",
    "It cannot be brought back; you can create a new one.",
];

pub fn revoke_secret(secret: &HookSecretView, now: OffsetDateTime) -> Question {
    let created = exact(secret.created_at);
    Question {
        title: Cow::Owned(format!("Revoke the signing secret of {created}?")),
        text: Cow::Owned(last_use(secret.last_used_at, now)),
        consequences: REVOKED,
        action: "Revoke the secret",
    }
}

pub fn revoke_key_pair(pair: &KeyPairView, now: OffsetDateTime) -> Question {
    Question {
        title: Cow::Owned(format!("Revoke the key pair “{}”?", pair.name)),
        text: Cow::Owned(last_use(pair.last_used_at, now)),
        consequences: &[
            "Whoever publishes with it is refused from then on.",
            "It cannot be brought back; you can create a new one.",
        ],
        action: "Revoke the key pair",
    }
}

/// Before a key pair gets a new secret.
pub fn rotate_key_pair(pair: &KeyPairView, now: OffsetDateTime) -> Question {
    Question {
        title: Cow::Owned(format!("Give the key pair “{}” a new secret?", pair.name)),
        text: Cow::Owned(last_use(pair.last_used_at, now)),
        consequences: &[
            "The secret it has now stops working at once.",
            "The new one is shown only once.",
        ],
        action: "Create the new secret",
    }
}

pub fn credentials(settings: &Settings) -> String {
    let key = settings.credentials.access_key_id();
    key.map_or_else(|| "AWS default credentials".to_owned(), ToString::to_string)
}

/// For the audit: saved without a test.
pub fn saved(before: Option<&Settings>, now: &Settings) -> String {
    format!(
        "{}, without a test{}",
        now.distribution_id,
        difference(before, now)
    )
}

/// What was changed about the settings in force; never a secret.
fn difference(before: Option<&Settings>, now: &Settings) -> String {
    let Some(before) = before.filter(|before| *before != now) else {
        return String::new();
    };
    let (old, new) = (connection(before), connection(now));
    if old == new {
        return "; another secret".to_owned();
    }
    format!("; {}", changed(&old, &new))
}

/// For the audit: how a test ended.
pub fn tested(before: Option<&Settings>, now: &Settings, passed: bool) -> String {
    let (distribution, difference) = (&now.distribution_id, difference(before, now));
    if passed {
        format!("{distribution}: passed, and in force{difference}")
    } else {
        format!("{distribution}: failed, and kept as a draft{difference}")
    }
}

/// For the audit: a test of settings that were overtaken.
pub fn not_kept(settings: &Settings) -> String {
    let distribution = &settings.distribution_id;
    format!("{distribution}: not kept, since others were saved during the test")
}

/// The same for whoever tested them.
pub const OVERTAKEN: &str = "These settings were changed during the test, so yours were not saved. Submit the form again: it shows what is saved now if that differs.";

/// A token or key pair without a usable name.
pub const NAMELESS: &str =
    "Give it a name of 1 to 100 characters, so that you will know later who has it.";

/// A token with a name that another one has.
pub fn name_taken(name: &str) -> String {
    format!(
        "There is a token called “{name}” already. Choose another name, or revoke that one first."
    )
}

/// A form that is sent again, after what it created was ended.
pub const GONE_SINCE: &str = "What this form created has been revoked, removed or replaced since. Submit the form again to create another one.";

pub fn token(name: &str) -> String {
    format!("Publish token “{name}”")
}

/// The halves of a key pair that is shown once, by the names that AWS gives them.
pub const ACCESS_KEY_ID: &str = "Access key ID";
pub const SECRET_ACCESS_KEY: &str = "Secret access key";

pub const SIGNING_SECRET: &str = "Signing secret";

pub fn faulty_line(line: &str, why: &Refused) -> String {
    format!("{line}: {why}")
}

pub fn too_many_secrets(most: usize) -> String {
    format!("A site can have at most {most} signing secrets. Revoke one first.")
}

pub fn too_many_rules(most: usize) -> String {
    format!("More than {most} rules: put several pages behind one =>, or use a wildcard.")
}

pub fn too_many_hosts(most: usize) -> String {
    format!("More than {most} hosts: leave out those that publishers do not write in URLs.")
}

pub const NOTHING_TO_TRY: &str = "Enter the address of a page, such as /blog/post-1.";

pub fn number(most: u32) -> String {
    let most = count(u64::from(most));
    format!("Enter a whole number from 1 to {most}.")
}

/// The publishing rules in words: what a conflict shows and the audit compares.
pub fn publishing(rules: &Publishing) -> Vec<(&'static str, String)> {
    let address = rules.public_address.as_ref().map(ToString::to_string);
    let hosts: Vec<&str> = rules.hosts.iter().map(PublisherHost::as_str).collect();
    let related: Vec<String> = rules.related.iter().map(ToString::to_string).collect();
    let directories = if rules.directory_variants {
        "on"
    } else {
        "off"
    };
    vec![
        ("Public address", address.unwrap_or_default()),
        ("Publisher hosts", hosts.join(", ")),
        ("Origin path", rules.origin_path.to_string()),
        ("Related pages", related.join(", ")),
        ("A page is also its directory", directories.to_owned()),
    ]
}

/// The same for paths and cost.
pub fn spending(spending: &Spending) -> Vec<(&'static str, String)> {
    let fold_above = count(spending.fold_above.into());
    let limit = spending.monthly_limit;
    let (most, then) = limit
        .map(|limit| (count(limit.paths), limit.then.into_str()))
        .unwrap_or_default();
    vec![
        ("What is sent", spending.policy.into_str().to_owned()),
        ("Fold when there are more than", fold_above),
        ("Monthly limit", most),
        ("Past the limit", then.to_owned()),
    ]
}

/// The same for the connection.
pub fn connection(settings: &Settings) -> Vec<(&'static str, String)> {
    vec![
        ("Distribution ID", settings.distribution_id.to_string()),
        ("Credentials", credentials(settings)),
        ("Region", settings.region.code.to_owned()),
    ]
}

/// For the audit: what was changed, from what to what.
pub fn changed(before: &[(&str, String)], after: &[(&str, String)]) -> String {
    let shown = |value: &str| {
        if value.is_empty() {
            "nothing".to_owned()
        } else {
            value.to_owned()
        }
    };
    let changes = before.iter().zip(after).filter(|(old, new)| old != new);
    let changes: Vec<String> = changes
        .map(|((what, old), (_, new))| format!("{what}: {} → {}", shown(old), shown(new)))
        .collect();
    if changes.is_empty() {
        "nothing changed".to_owned()
    } else {
        changes.join("; ")
    }
}
