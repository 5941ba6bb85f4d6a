//! The service inside the test: nothing happens by itself, and time is handed in.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use skycms_cdn::clock::ManualClock;
use skycms_cdn::cloudfront::CloudFront;
use skycms_cdn::dispatcher::Dispatcher;
use skycms_cdn::domain::edge::PublicAddress;
use skycms_cdn::domain::{Publishing, Settings};
use skycms_cdn::readers::{EdgeChecker, Notifier, PublicClient, Runner};
use skycms_cdn::store::{Connection, Places, PlanInputs, SiteId, Slot};
use skycms_cdn::web::{self, AppState};
use time::OffsetDateTime;
use tokio::net::TcpListener;

use super::{
    Api, Database, OTHER, OTHER_KEY, Sandbox, Service, add_site, config, has_ended, set, settings,
    token_of, variables,
};

/// Longer than any call that is not meant to time out.
const ATTEMPT: Duration = Duration::from_secs(2);

/// A service that serves, and whose dispatcher works when it is told to.
pub(crate) struct Stepped {
    pub(crate) api: Api,
    pub(crate) state: AppState,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) edge: Runner<EdgeChecker>,
    pub(crate) notifier: Runner<Notifier>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) database: Database,
    time: ManualClock,
}

impl Stepped {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub(crate) async fn start_with(more: &[(&str, &str)]) -> Self {
        let (database, sandbox) = (Database::fresh().await, Sandbox::start().await);
        Self::start_on(database, sandbox, more, time::Duration::ZERO).await
    }

    /// Starts with a clock that is `ahead`, and with `more` variables; one with an empty value is
    /// not set.
    pub(crate) async fn start_on(
        database: Database,
        sandbox: impl Into<Arc<Sandbox>>,
        more: &[(&str, &str)],
        ahead: time::Duration,
    ) -> Self {
        Self::start_at(database, sandbox, more, OffsetDateTime::now_utc() + ahead).await
    }

    /// Starts at a time of the test's choice.
    pub(crate) async fn start_at(
        database: Database,
        sandbox: impl Into<Arc<Sandbox>>,
        more: &[(&str, &str)],
        now: OffsetDateTime,
    ) -> Self {
        let sandbox = sandbox.into();
        let mut variables = variables(&database, &sandbox);
        set(&mut variables, more);
        let config = config(&variables);
        let Service {
            state,
            time,
            database,
            ..
        } = Service::of(database, &config, now).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!(
            "http://{}{}",
            listener.local_addr().unwrap(),
            state.public.prefix
        );
        tokio::spawn(web::serve(listener, state.clone()));
        let cloudfront = CloudFront::within(ATTEMPT, config.cloudfront_endpoint.clone());
        let dispatcher = Dispatcher::new(
            state.store.clone(),
            cloudfront,
            state.clock.clone(),
            state.limits,
            state.wake.clone(),
            state.metrics.clone(),
        );
        let public_client = PublicClient::new(config.allow_private_targets).unwrap();
        let edge = EdgeChecker {
            store: state.store.clone(),
            public_client: public_client.clone(),
            clock: state.clock.clone(),
            metrics: state.metrics.clone(),
        };
        let notifier = Notifier {
            store: state.store.clone(),
            public_client,
            clock: state.clock.clone(),
            metrics: state.metrics.clone(),
            base: base.as_str().into(),
        };
        Self {
            api: Api::new(base),
            state,
            dispatcher,
            edge: Runner(edge),
            notifier: Runner(notifier),
            sandbox,
            database,
            time,
        }
    }

    /// Does all that is due now.
    pub(crate) async fn run(&self) {
        self.dispatcher.run_pending().await.unwrap();
    }

    /// Lets time pass.
    pub(crate) fn advance(&self, by: time::Duration) {
        self.time.advance(by);
    }

    /// Lets time pass, then does all that is due.
    pub(crate) async fn pass(&self, seconds: i64) {
        self.advance(time::Duration::seconds(seconds));
        self.run().await;
    }

    /// The same in steps, of so many seconds each.
    pub(crate) async fn pass_in_steps(&self, steps: u32, seconds: i64) {
        for _ in 0..steps {
            self.pass(seconds).await;
        }
    }

    /// Publishes paths together, and gives the publish's id.
    pub(crate) async fn publish_paths(&self, paths: impl IntoIterator<Item = String>) -> String {
        self.api.publish_paths(paths).await
    }

    pub(crate) async fn state_of(&self, id: &str) -> String {
        let publish = self.api.get_publish(id).await;
        publish["state"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn states(&self, ids: &[String]) -> Vec<String> {
        let mut states = Vec::new();
        for id in ids {
            states.push(self.state_of(id).await);
        }
        states
    }

    /// Publishes a path, sends it, and gives the publish's id.
    pub(crate) async fn publish_and_run(&self, path: &str) -> String {
        let id = self.api.publish_path(path).await;
        self.run().await;
        id
    }

    /// Lets time pass second by second until the publish has ended.
    pub(crate) async fn run_until_ended(&self, id: &str) -> Value {
        for _ in 0..200 {
            self.pass(1).await;
            let publish = self.api.get_publish(id).await;
            if has_ended(&publish) {
                return publish;
            }
        }
        panic!("not ended: {:#}", self.api.get_publish(id).await);
    }

    /// Reads the sites again, as other replicas do when they hear of a change.
    pub(crate) async fn refresh_sites(&self) {
        let state = &self.state;
        state.directory.refresh(&state.store).await.unwrap();
    }

    /// The number of site `default`.
    pub(crate) fn site(&self) -> SiteId {
        self.state.directory.site("default").unwrap().id
    }

    /// Puts settings in force, as “Save without testing” does.
    pub(crate) async fn activate(&self, site: SiteId, distribution: &str, key: &str) {
        self.save(site, &settings(distribution, key)).await;
        self.refresh_sites().await;
    }

    /// The same, of which this replica has not heard yet.
    pub(crate) async fn save(&self, site: SiteId, settings: &Settings) {
        let (store, now) = (&self.state.store, self.state.clock.now());
        store
            .save_settings(site, None, Slot::Active, settings, None, now)
            .await
            .unwrap();
    }

    /// Says where readers find site `default`.
    pub(crate) async fn set_public_address(&self, address: &str) {
        let rules = Publishing {
            public_address: Some(PublicAddress::parse(address, true).unwrap()),
            ..Publishing::default()
        };
        self.save_publishing(&rules).await;
    }

    /// Says that they find it at the sandbox's edge.
    pub(crate) async fn show_at_edge(&self) {
        self.set_public_address(&self.sandbox.edge).await;
    }

    /// Saves the publishing rules of site `default`.
    pub(crate) async fn save_publishing(&self, rules: &Publishing) {
        let saved = self.state.store.save_publishing(self.site(), None, rules);
        saved.await.unwrap();
        self.refresh_sites().await;
    }

    /// How site `default` and its distribution stand, as it is read before a call.
    pub(crate) async fn plan_inputs(&self, connection: &mut Connection) -> PlanInputs {
        let (store, now) = (&self.state.store, self.state.clock.now());
        let inputs = store.plan_inputs(connection, self.site(), &self.state.limits, now);
        inputs.await.unwrap().expect("settings")
    }

    /// Makes the site `other`, with a distribution and a key of its own, and gives its API.
    pub(crate) async fn add_other_site(&self) -> Api {
        self.add_site("other", OTHER, OTHER_KEY).await
    }

    /// Makes a site with a distribution and a key, and gives its API.
    pub(crate) async fn add_site(&self, name: &str, distribution: &str, key: &str) -> Api {
        self.sandbox.add_tenant(distribution, key).await;
        let (store, clock) = (&self.state.store, &self.state.clock);
        add_site(store, clock, name, &settings(distribution, key))
            .await
            .unwrap();
        self.refresh_sites().await;
        self.api.of_site(name, &token_of(name))
    }
}

/// Places for so many questions, whether or not the last one was answered.
pub(crate) const fn places(each: usize) -> Places {
    Places {
        answered: each,
        unanswered: each,
    }
}

impl Drop for Stepped {
    fn drop(&mut self) {
        self.state.stop.cancel();
    }
}
