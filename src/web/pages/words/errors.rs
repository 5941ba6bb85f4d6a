//! Error pages.

use std::borrow::Cow;
use std::net::IpAddr;

use super::account::ticket;
use crate::store::StoreError;
use crate::web::http::error::Error;

/// What happened, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What happened.
    pub title: &'static str,
    /// Why.
    pub text: Cow<'static, str>,
    /// What to do.
    pub fix: &'static str,
}

impl Trouble {
    /// All of it, where there is no room for a page.
    pub(crate) fn sentence(&self) -> String {
        format!("{}. {} {}", self.title, self.text, self.fix)
    }
}

/// What people read of an error.
pub(crate) fn trouble(error: &Error) -> Trouble {
    match error {
        Error::NotFound | Error::NoSuchPublish(_) | Error::NoSuchInvalidation(_) => NOT_FOUND,
        Error::MethodNotAllowed => NOT_THIS_WAY,
        Error::Forbidden => FORBIDDEN,
        Error::LinkExpired => LINK_ENDED,
        Error::TicketRefused(ticket::NO_SITE) => NO_SITE_FOR_THEM,
        Error::TicketRefused(ticket::EXPIRED | ticket::USED) => TICKET_SPENT,
        Error::TicketRefused(_) => TICKET_REFUSED,
        Error::FrameEnded => FRAME_ENDED,
        Error::FormExpired => FORM_EXPIRED,
        Error::CrossSite => CROSS_SITE,
        Error::BadRequest(_) => UNREADABLE,
        Error::Busy(_) => BUSY,
        Error::Store(StoreError::Database(_)) | Error::Inbox(_) => NO_DATABASE,
        Error::Store(StoreError::Nul) => NUL,
        Error::Store(StoreError::Seal(_)) => SEALED,
        Error::Store(_) | Error::Template(_) | Error::Internal => OURS,
        _ => Trouble {
            title: error.kind().2,
            text: error.to_string().into(),
            fix: "",
        },
    }
}

/// There is no such page.
pub const NOT_FOUND: Trouble = Trouble {
    title: "Page not found",
    text: Cow::Borrowed(
        "There is nothing at this address. Finished publishes are kept for a limited time.",
    ),
    fix: "Check the address, or start from the activity page.",
};

/// The address takes forms only, or shows pages only.
pub const NOT_THIS_WAY: Trouble = Trouble {
    title: "Nothing to see here",
    text: Cow::Borrowed("A form on another page is sent to this address."),
    fix: "Start from the activity page.",
};

/// The last row of a table that could not be read to its end.
pub const INCOMPLETE: &str = "incomplete: something went wrong here; download it again";

/// A proxy that `TRUSTED_PROXIES` does not name.
pub const UNBELIEVED_PROXY: &str = "A proxy is not trusted";

/// What that leads to, and what to do.
pub fn unbelieved_proxy(proxy: IpAddr) -> String {
    format!(
        "Requests come through {proxy}, which is not trusted to say who sent them: everybody behind it counts as one \
         address, and one who guesses passwords locks out the others. If it is your proxy, have it send X-Forwarded-For, \
         and add it to TRUSTED_PROXIES."
    )
}

/// More live pages than one session or address may have.
pub const TOO_MANY_STREAMS: &str = "Too many live pages are open here. Close some of them.";

/// A text that cannot be stored.
pub const NUL: Trouble = Trouble {
    title: "This text cannot be used",
    text: Cow::Borrowed("It contains an invisible NUL character. Nothing was changed."),
    fix: "Go back, type the text instead of pasting it, and try again.",
};

/// Not for this user.
pub const FORBIDDEN: Trouble = Trouble {
    title: "Administrators only",
    text: Cow::Borrowed("Only administrators can see and change this."),
    fix: "Ask an administrator of SkyCMS.",
};

/// The one-time link was used, or is too old.
pub const LINK_ENDED: Trouble = Trouble {
    title: "This link has expired",
    text: Cow::Borrowed("It works once, within an hour of being created."),
    fix: "Whoever runs this service can create a new one with `skycms-cdn set-up-link`.",
};

/// SkyCMS's token was good once.
pub const TICKET_SPENT: Trouble = Trouble {
    title: "This sign-in has expired",
    text: Cow::Borrowed("SkyCMS’s token for it works once, for a few minutes."),
    fix: "Go back to SkyCMS and open Settings → CDN again.",
};

/// SkyCMS's token is not right.
pub const TICKET_REFUSED: Trouble = Trouble {
    title: "SkyCMS could not sign you in",
    text: Cow::Borrowed(
        "Its token is not one that this service can accept: it was made with another secret, or in another form.",
    ),
    fix: "Whoever runs this service can find the reason in its log.",
};

/// SkyCMS's token is right, but none of its sites is here.
pub const NO_SITE_FOR_THEM: Trouble = Trouble {
    title: "SkyCMS names no site that is set up here",
    text: Cow::Borrowed("Its token is genuine, but you may see no site of this service with it."),
    fix: "Whoever set up the sign-in in SkyCMS has to compare the names in `sites` with the sites of this service.",
};

/// The session of a frame is over.
pub const FRAME_ENDED: Trouble = Trouble {
    title: "Your session has ended",
    text: Cow::Borrowed(
        "You signed in through SkyCMS, which keeps you signed in for up to twelve hours.",
    ),
    fix: "Open Settings → CDN in SkyCMS again.",
};

/// A form that waited too long for its sender to sign in.
pub const FORM_EXPIRED: Trouble = Trouble {
    title: "This form has expired",
    text: Cow::Borrowed(
        "What you typed is kept for half an hour, which has passed. Nothing was changed.",
    ),
    fix: "Open the page again and fill in the form once more.",
};

/// Too many passwords are being checked.
pub const BUSY: Trouble = Trouble {
    title: "Too many people are signing in",
    text: Cow::Borrowed("Passwords are checked a few at a time, and the queue is full."),
    fix: "Try again in a moment.",
};

/// A form that another site sent.
pub const CROSS_SITE: Trouble = Trouble {
    title: "This form came from another site",
    text: Cow::Borrowed(
        "Only forms from this service’s own pages are accepted. Nothing was changed.",
    ),
    fix: "Open the page here and submit its form again.",
};

/// A form or an address that no page of ours makes.
pub const UNREADABLE: Trouble = Trouble {
    title: "This could not be read",
    text: Cow::Borrowed(
        "The form or the address is not one that this service’s pages produce. Nothing was changed.",
    ),
    fix: "Open the page again and try once more.",
};

/// The database is not responding.
pub const NO_DATABASE: Trouble = Trouble {
    title: "The database is not responding",
    text: Cow::Borrowed(
        "Nothing was changed just now. Publishes accepted earlier continue as soon as it is back.",
    ),
    fix: "Try again in a moment. If the problem persists, whoever runs this service can find the reason in its log.",
};

/// A stored secret cannot be decrypted.
pub const SEALED: Trouble = Trouble {
    title: "A stored secret cannot be decrypted",
    text: Cow::Borrowed("The key in ENCRYPTION_KEY is not the one the secret was encrypted with."),
    fix: "Whoever runs this service needs to add the old key to ENCRYPTION_KEY again, after the new one.",
};

/// A defect of ours.
pub const OURS: Trouble = Trouble {
    title: "Something went wrong here",
    text: Cow::Borrowed("The log has the details."),
    fix: "Go back and try again.",
};

/// Purging is paused: on every page, with AWS's code.
pub fn paused(code: &str) -> String {
    format!(
        "AWS rejects the settings ({code}). Publishes are kept and will be sent automatically as soon as the settings work again."
    )
}

/// Before the title of every page of a site that is paused.
pub const MARK_PAUSED: &str = "Paused";

/// Before the title of a page with a form that was not accepted.
pub const MARK_ERROR: &str = "Error";

/// Before the title of a publish that failed.
pub const MARK_FAILED: &str = "Failed";

/// The same for editors, who cannot fix it.
pub fn for_editors(text: &str) -> String {
    format!("{text} An administrator can fix this under Settings.")
}

/// The title of that.
pub const PAUSED: &str = "Purging is paused";

/// The monthly limit is reached, and publishes wait.
pub const LIMIT_REACHED: &str = "The monthly limit is reached";

/// What that means.
pub fn limit_reached(until: &str) -> String {
    format!(
        "This site has sent as many paths as its monthly limit allows. Publishes wait until {until} (UTC), or until the limit is raised."
    )
}

/// The way there.
pub const CHANGE_LIMIT: &str = "Change the limit";

/// The way to fix it.
pub const FIX_SETTINGS: &str = "Fix the settings";

/// Nobody can know when purges are done: on every page.
pub const NOT_ASKED: &str = "Completion cannot be confirmed";

/// Why, and what to do.
pub const ALLOW_ASKING: &str = "Publishes are purged, but the access key may not ask CloudFront how far they are, so they end as unconfirmed. The policy of the key has to allow cloudfront:GetInvalidation.";

/// The way there.
pub const SEE_POLICY: &str = "See the policy";
