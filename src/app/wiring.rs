//! Putting together what the service is made of.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::AppError;
use super::follow::follow;
use crate::admin::Tester;
use crate::clock::Clock;
use crate::cloudfront::{self, CloudFront};
use crate::config::{Config, PublicUrl};
use crate::dispatcher::{Dispatcher, Wake};
use crate::janitor;
use crate::metrics::Metrics;
use crate::readers::{EdgeChecker, Notifier, PublicClient, Runner};
use crate::skycms::SkyCms;
use crate::store::{
    Directory, Inbox, LastUsed, LiveChanges, PublishNotifier, PublishWaiters, RefusedCalls, Store,
};
use crate::web::{AppState, Bodies, Hasher, OpenAnswers, Recent, Shared, Turns};

/// What works beside the server until the service stops.
pub(super) struct Background {
    dispatcher: Dispatcher,
    edge: Runner<EdgeChecker>,
    notifier: Runner<Notifier>,
    publish_notifier: PublishNotifier,
    history_days: u16,
}

/// Makes what handlers share, and what works beside them.
pub(super) async fn wire(
    config: &Config,
    clock: Clock,
    store: Store,
    public: PublicUrl,
) -> Result<(AppState, Background), AppError> {
    cloudfront::authorities_are_known()?;
    let cloudfront = CloudFront::at(config.cloudfront_endpoint.clone());
    let public_client = PublicClient::new(config.allow_private_targets)?;
    let (tasks, wake, metrics) = (TaskTracker::new(), Wake::default(), Metrics::default());
    let (stop, publish_notifier) = (CancellationToken::new(), PublishNotifier::default());
    let background = Background {
        dispatcher: Dispatcher::new(
            store.clone(),
            cloudfront.clone(),
            clock.clone(),
            config.limits,
            wake.clone(),
            metrics.clone(),
        ),
        edge: Runner(EdgeChecker {
            store: store.clone(),
            public_client: public_client.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
        }),
        notifier: Runner(Notifier {
            store: store.clone(),
            public_client: public_client.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            base: public.to_string().into(),
        }),
        publish_notifier: publish_notifier.clone(),
        history_days: config.history_days,
    };
    let inbox = Inbox::start(store.clone(), &tasks, &stop, {
        let wake = wake.clone();
        move |sites: BTreeSet<_>| {
            let (wake, publish_notifier) = (wake.clone(), publish_notifier.clone());
            async move {
                wake.published(sites.iter().copied()).await;
                publish_notifier.published(sites);
            }
        }
    });
    let tester = Tester {
        store: store.clone(),
        cloudfront,
        public_client,
        clock: clock.clone(),
        limits: config.limits,
        metrics: metrics.clone(),
    };
    let skycms = match config.access.skycms.clone() {
        Some(skycms) => Some(SkyCms::new(skycms, &public, clock.clone())?),
        None => None,
    };
    let state = AppState::new(Shared {
        tester,
        skycms,
        access: config.access.clone(),
        unbelieved_proxy: OnceLock::new(),
        hasher: Hasher::new(clock.clone()),
        last_used: LastUsed::new(store.clone(), tasks.clone()),
        refused: RefusedCalls::new(store.clone(), tasks.clone()),
        allow_private_targets: config.allow_private_targets,
        directory: Directory::load(&store).await?,
        store,
        inbox,
        clock,
        limits: config.limits,
        changes: LiveChanges::default(),
        publish_waiters: PublishWaiters::default(),
        days: Recent::default(),
        endless: Recent::default(),
        wake,
        public,
        bodies: Bodies::default(),
        turns: Turns::default(),
        open_answers: OpenAnswers::of(config.serve.connections),
        metrics,
        metrics_token: config.metrics_token.clone(),
        serve: config.serve,
        tasks,
        stop,
    });
    Ok((state, background))
}

impl Background {
    /// Starts all of it. Returns what the service cannot go on without: without its dispatcher it
    /// would accept publishes and send none.
    pub(super) fn start(self, state: &AppState) -> JoinSet<()> {
        let (store, clock, changes) = (&state.store, &state.clock, &state.changes);
        let (days, replica) = (self.history_days, clock.id());
        until_stop(state, follow(state.clone(), replica));
        let telling = self.publish_notifier;
        until_stop(state, telling.run(store.clone(), replica, changes.clone()));
        let heard = changes.subscribe();
        let waiters = state.publish_waiters.clone();
        until_stop(state, waiters.follow(store.clone(), heard));
        until_stop(state, self.edge.run(changes.subscribe()));
        until_stop(state, self.notifier.run(changes.subscribe()));
        until_stop(state, janitor::run(store.clone(), clock.clone(), days));
        let heard = changes.subscribe();
        let sweeping = janitor::follow(store.clone(), clock.clone(), days, heard);
        until_stop(state, sweeping);
        let mut needed = JoinSet::new();
        needed.spawn(self.dispatcher.run(state.stop.clone()));
        needed
    }
}

/// Works until the service stops. Work that panics stops the service, so that whoever runs it starts
/// it again: without that work it would miss revoked tokens, or send no notifications.
fn until_stop(state: &AppState, work: impl Future<Output = ()> + Send + 'static) {
    let stop = state.stop.clone();
    state.tasks.spawn(async move {
        let _stops_all = stop.clone().drop_guard();
        stop.run_until_cancelled_owned(work).await
    });
}
