//! After `Completed`: checking what readers get of published pages, and telling whoever wants to
//! know. This is never in the way of a purge: it has its own tasks and leases, and nothing waits
//! for it. It calls addresses that somebody typed into a form, all of them through one client.

mod edge_checker;
mod notifier;
mod outside;
mod rounds;

pub use self::edge_checker::{EdgeChecker, fetch_page};
pub use self::notifier::Notifier;
pub use self::outside::{NoOutside, Outside};
pub use self::rounds::{Rounds, Worker};
