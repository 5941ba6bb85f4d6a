//! Error pages.

use std::borrow::Cow;
use std::net::IpAddr;

use super::account::ticket;
use crate::store::{InboxError, StoreError};
use crate::web::http::error::Error;

/// What happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub title: &'static str,
    pub text: Cow<'static, str>,
    pub fix: &'static str,
}

impl Trouble {
    /// All of it in a line, where there is no room for a page.
    pub(crate) fn sentence(&self) -> String {
        format!("{}. {} {}", self.title, self.text, self.fix)
    }
}

/// An error in words for people.
pub(crate) fn trouble(error: &Error) -> Trouble {
    let trouble = |title, text: &'static str, fix| Trouble {
        title,
        text: text.into(),
        fix,
    };
    match error {
        Error::NotFound
        | Error::NoSuchPublish(_)
        | Error::NoSuchInvalidation(_)
        | Error::Store(StoreError::SiteGone) => trouble(
            "Page not found",
            "There is nothing at this address. Finished publishes are kept for a limited time.",
            "Check the address, or start from the activity page.",
        ),
        Error::MethodNotAllowed => trouble(
            "Nothing to see here",
            "A form on another page is sent to this address.",
            "Start from the activity page.",
        ),
        Error::Forbidden => trouble(
            "Administrators only",
            "Only administrators can see and change this.",
            "Ask an administrator of SkyCMS.",
        ),
        Error::LinkExpired => trouble(
            "This link has expired",
            "It works once, within an hour of being created.",
            "Whoever runs this service can create a new one with `skycms-cdn set-up-link`.",
        ),
        Error::TicketRefused(ticket::NO_SITE) => trouble(
            "SkyCMS names no site that is set up here",
            "Its token is valid, but does not give access to any site here.",
            "Whoever set up the sign-in in SkyCMS has to compare the names in `sites` with the sites of this service.",
        ),
        Error::TicketRefused(ticket::EXPIRED | ticket::USED) => trouble(
            "This sign-in has expired",
            "SkyCMS’s token for it works once, for a few minutes.",
            "Go back to SkyCMS and open Settings → CDN again.",
        ),
        Error::TicketRefused(_) => trouble(
            "SkyCMS could not sign you in",
            "Its token is not one that this service can accept: it was made with another secret, or in another form.",
            "Whoever runs this service can find the reason in its log.",
        ),
        Error::FrameEnded => trouble(
            "Your session has ended",
            "You signed in through SkyCMS, which keeps you signed in for up to twelve hours.",
            "Open Settings → CDN in SkyCMS again.",
        ),
        Error::FormExpired => trouble(
            "This form has expired",
            "What you type is kept for half an hour. That time has passed, and nothing was changed.",
            "Open the page again and fill in the form once more.",
        ),
        Error::CrossSite => trouble(
            "This form came from another site",
            "Only forms from this service’s own pages are accepted. Nothing was changed.",
            "Open the page here and submit its form again.",
        ),
        Error::BadRequest(_) => trouble(
            "This could not be read",
            "The form or the address is not one that this service’s pages produce. Nothing was changed.",
            "Open the page again and try once more.",
        ),
        Error::Busy(_) => trouble(
            "Too many people are signing in",
            "Passwords are checked a few at a time, and the queue is full.",
            "Try again in a moment.",
        ),
        Error::TooLarge => trouble(
            "This form is too large",
            "It holds more text than this page takes. Nothing was changed.",
            "Go back and send the text in several parts.",
        ),
        Error::TookTooLong => trouble(
            "This took too long",
            "There was no answer in time, and what you asked for may still happen.",
            "Wait a minute and check what was done before you try again.",
        ),
        Error::Crowded | Error::Inbox(InboxError::Full | InboxError::ShareFull) => trouble(
            "Too much at once",
            "The service is handling too many requests right now, for this site or for all together. Nothing was changed.",
            "Try again in a moment.",
        ),
        Error::Store(StoreError::Database(_)) | Error::Inbox(InboxError::Unavailable) => trouble(
            "The database is not responding",
            "If you just sent a form, it may have been stored or not. Publishes accepted earlier continue as soon as the database is back.",
            "Try again in a moment: what is sent again at once is not stored twice. If the problem persists, whoever runs this service can find the reason in its log.",
        ),
        Error::Store(StoreError::Nul) => trouble(
            "This text cannot be used",
            "It contains an invisible NUL character. Nothing was changed.",
            "Go back, type the text instead of pasting it, and try again.",
        ),
        Error::Store(StoreError::Seal(_)) => trouble(
            "A stored secret cannot be decrypted",
            "The key in ENCRYPTION_KEY is not the one the secret was encrypted with.",
            "Whoever runs this service needs to add the old key to ENCRYPTION_KEY again, after the new one.",
        ),
        Error::Store(_)
        | Error::Inbox(InboxError::Refused)
        | Error::Template(_)
        | Error::Internal => trouble(
            "Something went wrong here",
            "The log has the details.",
            "Go back and try again.",
        ),
        _ => Trouble {
            title: error.kind().title,
            text: error.to_string().into(),
            fix: "",
        },
    }
}

/// The last row of a download that was cut short.
pub const INCOMPLETE: &str = "incomplete: something went wrong here; download it again";

/// The last row of a download that holds as much as one may.
pub const CUT: &str = "incomplete: this file holds the most rows that one download may have; choose days to download the rest";

pub fn unbelieved_proxy(proxy: IpAddr) -> Trouble {
    Trouble {
        title: "A proxy is not trusted",
        text: format!(
            "Requests come through {proxy}, which is not trusted to say who sent them: everybody behind it counts as \
             one address, and one who guesses passwords locks out the others. If it is your proxy, have it send \
             X-Forwarded-For, and add it to TRUSTED_PROXIES."
        )
        .into(),
        fix: "",
    }
}

pub const TOO_MANY_STREAMS: &str = "Too many live pages are open here. Close some of them.";

/// Before the title of every page of a site that is paused.
pub const MARK_PAUSED: &str = "Paused";

/// Before the title of a page with a form that was not accepted.
pub const MARK_ERROR: &str = "Error";

/// Before the title of a publish that failed.
pub const MARK_FAILED: &str = "Failed";

/// Purging is paused, with AWS’s code. This and the two below are shown on every page of a site,
/// with what to do as a link.
pub fn paused(code: &str) -> Trouble {
    Trouble {
        title: "Purging is paused",
        text: format!(
            "AWS rejects the settings ({code}). Publishes are kept and will be sent automatically as soon as the settings work again."
        )
        .into(),
        fix: "Fix the settings",
    }
}

pub fn limit_reached(until: &str) -> Trouble {
    Trouble {
        title: "The monthly limit is reached",
        text: format!(
            "This site has sent as many paths as its monthly limit allows. Publishes wait until {until} (UTC), or until the limit is raised."
        )
        .into(),
        fix: "Change the limit",
    }
}

pub const NOT_ASKED: Trouble = Trouble {
    title: "Completion cannot be confirmed",
    text: Cow::Borrowed(
        "Publishes are purged, but the access key may not ask CloudFront how far they are, so they end as unconfirmed. The policy of the key has to allow cloudfront:GetInvalidation.",
    ),
    fix: "See the policy",
};

/// The same for editors, who cannot fix it.
pub fn for_editors(text: &str) -> String {
    format!("{text} An administrator can fix this under Settings.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_forms_run_into_is_told_to_people_and_not_to_programs() {
        for error in [
            Error::TooLarge,
            Error::TookTooLong,
            Error::Crowded,
            Error::Inbox(InboxError::Full),
            Error::Inbox(InboxError::ShareFull),
            Error::Inbox(InboxError::Refused),
        ] {
            let Trouble { title, text, fix } = trouble(&error);
            assert!(!fix.is_empty(), "{title}");
            let is_for_people = !["database", "bodies", "MiB", "token", "Idempotency"]
                .iter()
                .any(|word| text.contains(word));
            assert!(is_for_people, "{title}: {text}");
        }
    }
}
