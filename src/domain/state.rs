//! Where a publish and an invalidation stand. The names are the API's and the database's.

/// How far a publish is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PublishState {
    /// Waits.
    Queued,
    /// CloudFront has accepted some or all of it.
    InProgress,
    /// CloudFront said so.
    Completed,
    /// CloudFront accepted it, but nobody can ask.
    Unconfirmed,
    /// Some of it can never succeed.
    Failed,
}

impl PublishState {
    /// All of them, in the order they come about.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::InProgress,
        Self::Completed,
        Self::Unconfirmed,
        Self::Failed,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Unconfirmed => "unconfirmed",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing changes any more.
    pub const fn has_ended(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

impl std::str::FromStr for PublishState {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(())
    }
}

/// How far an invalidation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum InvalidationStatus {
    /// Not accepted yet.
    Queued,
    /// CloudFront accepted it.
    InProgress,
    /// CloudFront said so.
    Completed,
    /// CloudFront accepted it, but its id was lost, so nobody can ask.
    Unconfirmed,
    /// It can never succeed, or CloudFront no longer knows it.
    Failed,
}

impl InvalidationStatus {
    /// All of them, in the order they come about.
    pub const ALL: [Self; 5] = [
        Self::Queued,
        Self::InProgress,
        Self::Completed,
        Self::Unconfirmed,
        Self::Failed,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "Queued",
            Self::InProgress => "InProgress",
            Self::Completed => "Completed",
            Self::Unconfirmed => "Unconfirmed",
            Self::Failed => "Failed",
        }
    }
}

impl std::str::FromStr for InvalidationStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == text)
            .ok_or(())
    }
}
