//! What the audit log records. The words are stored as they are shown.

use strum::IntoStaticStr;

macro_rules! actions {
    ($($action:ident = $words:literal,)+) => {
        /// What somebody did, on a page or by a command.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
        #[strum(const_into_str)]
        pub enum AuditAction {
            $(#[strum(serialize = $words)] $action,)+
        }
    };
}

actions! {
    SignedIn = "Signed in",
    FailedToSignIn = "Failed to sign in",
    GaveWrongPassword = "Gave a wrong password or code",
    CameFromSkyCms = "Came from SkyCMS",
    SignedOut = "Signed out",
    TurnedSecondStepOn = "Turned the second step on",
    TurnedSecondStepOff = "Turned the second step off",
    EndedSession = "Ended a session",
    EndedOtherSessions = "Ended all other sessions",
    SignedOutEverywhere = "Signed out everywhere",
    SetPassword = "Set the password by a one-time link",
    ChangedPassword = "Changed the password",
    SavedSettings = "Saved the CDN settings",
    TestedSettings = "Tested the CDN settings",
    AllowedDefault = "Allowed AWS default credentials",
    ForbadeDefault = "Forbade AWS default credentials",
    DiscardedDraft = "Discarded the draft of the CDN settings",
    RemovedSettings = "Removed the CDN settings",
    ChangedPublishing = "Changed the publishing rules",
    ChangedPolicy = "Changed the policy",
    Purged = "Purged by hand",
    TriedAgain = "Tried a publish again",
    CreatedToken = "Created a publish token",
    RevealedToken = "Had a publish token shown",
    RevokedToken = "Revoked a publish token",
    CreatedSecret = "Created a signing secret",
    RevealedSecret = "Had a signing secret shown",
    RevokedSecret = "Revoked a signing secret",
    CreatedKeyPair = "Created a key pair",
    RotatedKeyPair = "Gave a key pair another secret",
    RevokedKeyPair = "Revoked a key pair",
    AddedEndpoint = "Added an endpoint for notifications",
    ChangedEndpoint = "Changed what an endpoint hears of",
    RotatedEndpointSecret = "Gave an endpoint another signing secret",
    TestedEndpoint = "Sent a test to an endpoint",
    SentAgain = "Sent a notification again",
    SwitchedOnEndpoint = "Switched an endpoint on again",
    RemovedEndpoint = "Removed an endpoint for notifications",
    CreatedSite = "Created a site",
    RenamedSite = "Renamed a site",
    RemovedSite = "Removed a site",
}
