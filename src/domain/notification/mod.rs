//! Notifications: what a site's endpoints are told, in which words, and when it is sent again.

mod endpoint;
mod event;
mod message;
mod schedule;

pub use self::endpoint::{EndpointKind, EndpointUrl};
pub use self::event::Event;
pub use self::message::{Notification, SIGNED_HEADERS, sign, used_of};
pub use self::schedule::{
    AfterDelivery, EndpointAfter, Health, MAX_ENDPOINT_PAUSE, MAX_MESSAGE_PAUSE, Next, Reply,
    Tried, after_delivery,
};

#[cfg(test)]
mod tests;
