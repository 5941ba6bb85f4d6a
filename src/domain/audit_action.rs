//! What the audit log records. The words are stored as they are shown.

use strum::IntoStaticStr;

/// What somebody did, on a page or by a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(const_into_str)]
pub enum AuditAction {
    #[strum(serialize = "Signed in")]
    SignedIn,
    #[strum(serialize = "Failed to sign in")]
    FailedToSignIn,
    #[strum(serialize = "Gave a wrong password or code")]
    GaveWrongPassword,
    #[strum(serialize = "Came from SkyCMS")]
    CameFromSkyCms,
    #[strum(serialize = "Signed out")]
    SignedOut,
    #[strum(serialize = "Turned the second step on")]
    TurnedSecondStepOn,
    #[strum(serialize = "Turned the second step off")]
    TurnedSecondStepOff,
    #[strum(serialize = "Ended a session")]
    EndedSession,
    #[strum(serialize = "Ended all other sessions")]
    EndedOtherSessions,
    #[strum(serialize = "Signed out everywhere")]
    SignedOutEverywhere,
    #[strum(serialize = "Set the password by a one-time link")]
    SetPassword,
    #[strum(serialize = "Changed the password")]
    ChangedPassword,
    #[strum(serialize = "Saved the CDN settings")]
    SavedSettings,
    #[strum(serialize = "Tested the CDN settings")]
    TestedSettings,
    #[strum(serialize = "Allowed AWS default credentials")]
    AllowedDefault,
    #[strum(serialize = "Forbade AWS default credentials")]
    ForbadeDefault,
    #[strum(serialize = "Discarded the draft of the CDN settings")]
    DiscardedDraft,
    #[strum(serialize = "Removed the CDN settings")]
    RemovedSettings,
    #[strum(serialize = "Changed the publishing rules")]
    ChangedPublishing,
    #[strum(serialize = "Changed the policy")]
    ChangedPolicy,
    #[strum(serialize = "Purged by hand")]
    Purged,
    #[strum(serialize = "Tried a publish again")]
    TriedAgain,
    #[strum(serialize = "Created a publish token")]
    CreatedToken,
    #[strum(serialize = "Had a publish token shown")]
    RevealedToken,
    #[strum(serialize = "Revoked a publish token")]
    RevokedToken,
    #[strum(serialize = "Created a signing secret")]
    CreatedSecret,
    #[strum(serialize = "Had a signing secret shown")]
    RevealedSecret,
    #[strum(serialize = "Revoked a signing secret")]
    RevokedSecret,
    #[strum(serialize = "Created a key pair")]
    CreatedKeyPair,
    #[strum(serialize = "Gave a key pair another secret")]
    RotatedKeyPair,
    #[strum(serialize = "Revoked a key pair")]
    RevokedKeyPair,
    #[strum(serialize = "Added an endpoint for notifications")]
    AddedEndpoint,
    #[strum(serialize = "Changed what an endpoint hears of")]
    ChangedEndpoint,
    #[strum(serialize = "Gave an endpoint another signing secret")]
    RotatedEndpointSecret,
    #[strum(serialize = "Sent a test to an endpoint")]
    TestedEndpoint,
    #[strum(serialize = "Sent a notification again")]
    SentAgain,
    #[strum(serialize = "Switched an endpoint on again")]
    SwitchedOnEndpoint,
    #[strum(serialize = "Removed an endpoint for notifications")]
    RemovedEndpoint,
    #[strum(serialize = "Created a site")]
    CreatedSite,
    #[strum(serialize = "Renamed a site")]
    RenamedSite,
    #[strum(serialize = "Removed a site")]
    RemovedSite,
}
