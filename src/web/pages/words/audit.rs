//! Who did what.

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    SignedIn,
    FailedToSignIn,
    CameFromSkyCms,
    SignedOut,
    SignedOutEverywhere,
    SetPassword,
    ChangedPassword,
    SavedSettings,
    TestedSettings,
    RemovedSettings,
    ChangedPublishing,
    ChangedPolicy,
    Purged,
    TriedAgain,
    CreatedToken,
    RevealedToken,
    RevokedToken,
    CreatedSecret,
    RevealedSecret,
    RevokedSecret,
    CreatedKeyPair,
    RotatedKeyPair,
    RevokedKeyPair,
    CreatedSite,
    RenamedSite,
    RemovedSite,
}

impl Deed {
    /// The deed in words.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::SignedIn => "Signed in",
            Self::FailedToSignIn => "Failed to sign in",
            Self::CameFromSkyCms => "Came from SkyCMS",
            Self::SignedOut => "Signed out",
            Self::SignedOutEverywhere => "Signed out everywhere",
            Self::SetPassword => "Set the password by a one-time link",
            Self::ChangedPassword => "Changed the password",
            Self::SavedSettings => "Saved the CDN settings",
            Self::TestedSettings => "Tested the CDN settings",
            Self::RemovedSettings => "Removed the CDN settings",
            Self::ChangedPublishing => "Changed the publishing rules",
            Self::ChangedPolicy => "Changed the policy",
            Self::Purged => "Purged by hand",
            Self::TriedAgain => "Tried a publish again",
            Self::CreatedToken => "Created a publish token",
            Self::RevealedToken => "Had a publish token shown",
            Self::RevokedToken => "Revoked a publish token",
            Self::CreatedSecret => "Created a signing secret",
            Self::RevealedSecret => "Had a signing secret shown",
            Self::RevokedSecret => "Revoked a signing secret",
            Self::CreatedKeyPair => "Created a key pair",
            Self::RotatedKeyPair => "Gave a key pair another secret",
            Self::RevokedKeyPair => "Revoked a key pair",
            Self::CreatedSite => "Created a site",
            Self::RenamedSite => "Renamed a site",
            Self::RemovedSite => "Removed a site",
        }
    }
}
