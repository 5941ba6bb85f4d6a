//! Why there was no answer from an address that somebody typed into a form.

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    #[error("the host name has no address")]
    NoAddress,
    #[error("the host name leads to a private address, which this service does not call")]
    PrivateAddress,
    #[error("the address begins with http://, and this service calls only https://")]
    NotHttps,
    #[error("no connection could be made: {0}")]
    NoConnection(String),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("there was no answer within {0} s")]
    TooSlow(u64),
}
