//! What happens to whom, and when: all of it drawn from the seed before anything starts.

use std::time::Duration;

use fastrand::Rng;
use strum::VariantArray;

use crate::support::Mood;

/// Longer than a lease, so that another replica takes over what the stopped one had claimed.
const LONG_STOP: Duration = Duration::from_secs(33);
/// How often, on average, a replica is stopped for so long.
const LONG_STOP_EVERY: Duration = Duration::from_secs(75);

/// A little longer than anything may wait while everything works.
const LULL: Duration = Duration::from_secs(70);
const LULL_EVERY: Duration = Duration::from_secs(240);
/// What a process may take to be back.
const RECOVERY: Duration = Duration::from_secs(3);

/// What happens to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// SIGKILL; started again afterwards.
    Kill,
    /// SIGTERM; started again afterwards.
    Terminate,
    /// SIGSTOP, and SIGCONT afterwards.
    Stop,
}

/// What happens to PostgreSQL. Where it ended, it is started again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// SIGINT: a fast shutdown.
    Fast,
    /// SIGQUIT to the postmaster: no shutdown at all, recovery at the next start.
    Quit,
    /// SIGKILL to the postmaster.
    Kill,
    /// SIGSTOP to all its processes: it does not answer, and closes no connection. SIGCONT
    /// afterwards.
    Freeze,
}

/// What people and AWS do meanwhile, and undo afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(crate) enum Mishap {
    /// A site's access key is disabled.
    KeyOff,
    /// It may create invalidations and not ask about them.
    KeyMayNotAsk,
    /// The other way round.
    KeyMayNotCreate,
    /// No question about an invalidation is answered, for anybody.
    PollsFail,
    /// A site's settings name another distribution.
    SettingsMove,
    /// A site is removed; afterwards one of its name is added.
    SiteRemoved,
    /// The clocks of both replicas are set forward or back.
    ClocksStep,
    /// One replica's clock is a little ahead.
    ClockAhead,
}

impl Mishap {
    /// As the report counts it.
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::KeyOff => "keys switched off",
            Self::KeyMayNotAsk | Self::KeyMayNotCreate => "keys narrowed",
            Self::PollsFail => "polls fail",
            Self::SettingsMove => "settings moved",
            Self::SiteRemoved => "sites removed",
            Self::ClocksStep => "clocks stepped",
            Self::ClockAhead => "clocks ahead",
        }
    }
}

/// Something that happens, and for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step<T> {
    /// After the start of the run.
    pub(crate) at: Duration,
    pub(crate) what: T,
    pub(crate) lasts: Duration,
}

/// All that happens.
pub(crate) struct Schedule {
    pub(crate) replicas: [Vec<Step<Trouble>>; 2],
    pub(crate) postgres: Vec<Step<Outage>>,
    /// When CloudFront changes how it answers a repeated caller reference.
    pub(crate) moods: Vec<Duration>,
    pub(crate) mishaps: Vec<Step<Mishap>>,
    /// How the endpoint of notifications fails.
    pub(crate) receiver: Vec<Step<Mood>>,
    /// When nothing else fails for long enough to tell whether anything waits without a reason.
    pub(crate) lulls: Vec<Step<Option<Mishap>>>,
}

impl Schedule {
    pub(crate) fn draw(seed: u64, run: Duration) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut replicas = [
            Self::replica(&mut rng.fork(), run),
            Self::replica(&mut rng.fork(), run),
        ];
        // A lease runs out at least once, whatever the dice say.
        let mut begin = millis(&mut rng, 3_000..12_000);
        let mut turn = rng.usize(0..2);
        while begin + LONG_STOP < run {
            Self::stop_for_long(&mut replicas[turn], begin);
            turn = 1 - turn;
            begin += LONG_STOP_EVERY.mul_f64(0.7 + 0.6 * rng.f64());
        }
        let mut postgres = Self::postgres(&mut rng.fork(), run);
        let moods = Self::moods(&mut rng.fork(), run);
        let mut mishaps = Self::mishaps(&mut rng.fork(), run);
        let receiver = Self::receiver(&mut rng.fork(), run);
        let lulls = Self::lulls(run);
        replicas.iter_mut().for_each(|steps| spare(steps, &lulls));
        spare(&mut postgres, &lulls);
        spare(&mut mishaps, &lulls);
        Self {
            replicas,
            postgres,
            moods,
            mishaps,
            receiver,
            lulls,
        }
    }

    /// Each kind in turn, in an order of its own each time.
    fn mishaps(rng: &mut Rng, run: Duration) -> Vec<Step<Mishap>> {
        let mut steps = Vec::new();
        let mut at = millis(rng, 2_000..6_000);
        loop {
            let mut kinds = Mishap::VARIANTS.to_vec();
            rng.shuffle(&mut kinds);
            for what in kinds {
                let lasts = millis(rng, 3_000..20_000);
                if at + lasts >= run {
                    return steps;
                }
                steps.push(Step { at, what, lasts });
                at += lasts + millis(rng, 1_000..5_000);
            }
        }
    }

    /// In most of them one thing is wrong all the time, that must not hold up anybody else.
    fn lulls(run: Duration) -> Vec<Step<Option<Mishap>>> {
        let wrong = [
            Some(Mishap::KeyMayNotAsk),
            Some(Mishap::KeyOff),
            Some(Mishap::PollsFail),
            None,
        ];
        let lull = |(number, what)| Step {
            at: LULL_EVERY * number,
            what,
            lasts: LULL,
        };
        let lulls = (1..).zip(wrong.into_iter().cycle()).map(lull);
        lulls.take_while(|lull| lull.at + LULL < run).collect()
    }

    fn replica(rng: &mut Rng, run: Duration) -> Vec<Step<Trouble>> {
        let mut steps = Vec::new();
        let mut at = millis(rng, 2_000..8_000);
        loop {
            let (what, lasts) = match rng.u32(0..100) {
                0..50 => (Trouble::Kill, millis(rng, 100..3_000)),
                50..60 => (Trouble::Terminate, millis(rng, 100..2_000)),
                _ => (Trouble::Stop, millis(rng, 300..6_000)),
            };
            if at + lasts >= run {
                return steps;
            }
            steps.push(Step { at, what, lasts });
            at += lasts + millis(rng, 2_000..14_000);
        }
    }

    /// Puts a long stop in the place of what it would overlap.
    fn stop_for_long(steps: &mut Vec<Step<Trouble>>, begin: Duration) {
        let end = begin + LONG_STOP;
        steps.retain(|step| step.at + step.lasts < begin || step.at > end);
        steps.push(Step {
            at: begin,
            what: Trouble::Stop,
            lasts: LONG_STOP,
        });
        steps.sort_by_key(|step| step.at);
    }

    fn postgres(rng: &mut Rng, run: Duration) -> Vec<Step<Outage>> {
        let mut steps = Vec::new();
        let mut at = millis(rng, 5_000..15_000);
        loop {
            let what = match rng.u32(0..4) {
                0 => Outage::Fast,
                1 => Outage::Quit,
                2 => Outage::Kill,
                _ => Outage::Freeze,
            };
            // Now and then for longer than the hook waits.
            let lasts = match rng.u32(0..3) {
                0 => millis(rng, 11_000..15_000),
                _ => millis(rng, 0..4_000),
            };
            if at + lasts >= run {
                return steps;
            }
            steps.push(Step { at, what, lasts });
            at += lasts + millis(rng, 8_000..25_000);
        }
    }

    fn receiver(rng: &mut Rng, run: Duration) -> Vec<Step<Mood>> {
        let mut steps = Vec::new();
        let mut at = millis(rng, 2_000..8_000);
        loop {
            let what = [Mood::Answers(500), Mood::Hangs, Mood::Closed][rng.usize(..3)];
            let lasts = millis(rng, 2_000..9_000);
            if at + lasts >= run {
                return steps;
            }
            steps.push(Step { at, what, lasts });
            at += lasts + millis(rng, 4_000..12_000);
        }
    }

    fn moods(rng: &mut Rng, run: Duration) -> Vec<Duration> {
        let mut moods = Vec::new();
        let mut at = Duration::ZERO;
        loop {
            at += millis(rng, 8_000..20_000);
            if at >= run {
                return moods;
            }
            moods.push(at);
        }
    }
}

/// Leaves out what would happen in a lull, or not be over when it begins.
fn spare<T>(steps: &mut Vec<Step<T>>, lulls: &[Step<Option<Mishap>>]) {
    steps.retain(|step| {
        lulls
            .iter()
            .all(|lull| step.at + step.lasts + RECOVERY < lull.at || step.at > lull.at + lull.lasts)
    });
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}
