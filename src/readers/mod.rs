//! After `Completed`: checking which copy of a published page readers get, and sending
//! notifications. A purge never waits for this: it has its own tasks and leases. All addresses it
//! calls were typed into a form, and one client calls them all.

mod edge_checker;
mod notifier;
mod public_client;
mod runner;

pub use self::edge_checker::{EdgeChecker, fetch_page};
pub use self::notifier::Notifier;
pub use self::public_client::{NoPublicClient, PublicClient};
pub use self::runner::{Runner, Worker};
