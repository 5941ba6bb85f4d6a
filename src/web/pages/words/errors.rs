//! Error pages.

use std::borrow::Cow;

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

/// There is no such page.
pub const NOT_FOUND: Trouble = Trouble {
    title: "Page not found",
    text: Cow::Borrowed(
        "There is nothing at this address. Ended publishes are kept for a limited time.",
    ),
    fix: "Check the address, or begin at the activity.",
};

/// The address takes forms only, or shows pages only.
pub const NOT_THIS_WAY: Trouble = Trouble {
    title: "Nothing to see here",
    text: Cow::Borrowed("This address is where a form of another page is sent to."),
    fix: "Begin at the activity.",
};

/// Not for this user.
pub const FORBIDDEN: Trouble = Trouble {
    title: "Not for you",
    text: Cow::Borrowed("Only administrators may see and change this."),
    fix: "Ask an administrator of SkyCMS.",
};

/// The one-time link was used, or is too old.
pub const LINK_ENDED: Trouble = Trouble {
    title: "This link works no more",
    text: Cow::Borrowed("It works once, within an hour after it was made."),
    fix: "Whoever runs this service gets a new one with `skycms-cdn set-up-link`.",
};

/// SkyCMS's token is not right.
pub const TICKET_REFUSED: Trouble = Trouble {
    title: "SkyCMS could not sign you in",
    text: Cow::Borrowed(
        "Its token has expired, was used before, or is not signed with the secret that is shared with this service.",
    ),
    fix: "Go back to SkyCMS and open Settings → CDN again. If that does not help, whoever runs this service finds the reason in its log.",
};

/// The session of a frame is over.
pub const FRAME_ENDED: Trouble = Trouble {
    title: "Your visit is over",
    text: Cow::Borrowed("You came here from SkyCMS, which vouches for its users for twelve hours."),
    fix: "Open Settings → CDN in SkyCMS again.",
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
        "Forms are taken from the pages of this service only. Nothing was changed.",
    ),
    fix: "Open the page here and send its form again.",
};

/// A form or an address that no page of ours makes.
pub const UNREADABLE: Trouble = Trouble {
    title: "This cannot be read",
    text: Cow::Borrowed(
        "The form, or the address, is not as the pages of this service make them. Nothing was changed.",
    ),
    fix: "Open the page again, and send it once more.",
};

/// The database does not answer.
pub const NO_DATABASE: Trouble = Trouble {
    title: "The database does not answer",
    text: Cow::Borrowed(
        "Nothing was changed just now. Publishes that were accepted before go on as soon as it is back.",
    ),
    fix: "Try again in a moment. If it lasts, whoever runs this service finds the reason in its log.",
};

/// A stored secret cannot be opened.
pub const SEALED: Trouble = Trouble {
    title: "A stored secret cannot be opened",
    text: Cow::Borrowed("The key in ENCRYPTION_KEY is not the one that the secret was saved with."),
    fix: "Whoever runs this service has to put the old key back into ENCRYPTION_KEY, behind the new one.",
};

/// A defect of ours.
pub const OURS: Trouble = Trouble {
    title: "Something went wrong here",
    text: Cow::Borrowed("The log tells more."),
    fix: "Go back and try again.",
};

/// Purging is paused: on every page, with AWS's code.
pub fn paused(code: &str) -> String {
    format!(
        "AWS rejects the settings ({code}). Publishes are kept and go by themselves as soon as the settings work again."
    )
}

/// The title of that.
pub const PAUSED: &str = "Purging is paused";

/// The way to mend it.
pub const MEND: &str = "Mend the settings";
