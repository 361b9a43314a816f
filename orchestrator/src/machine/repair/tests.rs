use super::*;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const RULES: Rules = Rules {
    grace: TimeDelta::seconds(60),
    window: TimeDelta::seconds(600),
    recovery: TimeDelta::seconds(300),
    first_pause: TimeDelta::seconds(300),
    longest_pause: TimeDelta::hours(6),
    confirmation: TimeDelta::days(1),
    restarts_before_reboot: 3,
    restarts_per_day: 6,
    reboots_per_day: 1,
};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(10) + TimeDelta::seconds(seconds)
}

fn policy(highest: Highest, reboot_confirmed_by: Confirmation) -> Policy {
    Policy { highest, reboot_confirmed_by }
}

/// Heard last at 0.
fn patient(highest: Highest, repairs: Vec<Repair>) -> Patient {
    let policy = policy(highest, Confirmation::Policy);
    Patient { policy, heard_at: Some(at(0)), goodbye_at: None, attended: false, repairs }
}

fn over(step: Step, begun: i64, outcome: Outcome) -> Repair {
    let acted_at = Some(at(begun));
    let ended = Some((at(begun + 300), outcome));
    Repair { step, begun_at: at(begun), confirmed_at: None, acted_at, answered: true, ended }
}

fn asked(begun: i64, confirmed: Option<i64>) -> Repair {
    let confirmed_at = confirmed.map(at);
    Repair {
        step: Step::Reboot,
        begun_at: at(begun),
        confirmed_at,
        acted_at: None,
        answered: false,
        ended: None,
    }
}

fn alone(patient: &Patient, now: i64) -> Verdict {
    judge(patient, &[], &RULES, at(-10_000), at(now))
}

#[test]
fn the_ladder_from_silence_to_reboot() {
    let mut repairs = vec![];
    let verdict = |repairs: &Vec<Repair>, now| alone(&patient(Highest::Reboot, repairs.clone()), now);
    assert_eq!(verdict(&repairs, 59), Verdict::Nothing);
    assert_eq!(verdict(&repairs, 599), Verdict::Wait { why: Waits::Window, until: at(600) });
    // Each pause is twice as long as the one before, from the end of a step.
    for begins in [600, 1200, 2100] {
        assert_eq!(verdict(&repairs, begins), Verdict::Begin(Step::Restart));
        let open = Repair { ended: None, ..over(Step::Restart, begins, Outcome::Failed) };
        repairs.push(open);
        assert_eq!(
            verdict(&repairs, begins + 299),
            Verdict::Wait { why: Waits::Recovery, until: at(begins + 300) }
        );
        assert_eq!(verdict(&repairs, begins + 300), Verdict::End(Outcome::Failed));
        *repairs.last_mut().unwrap() = over(Step::Restart, begins, Outcome::Failed);
        assert!(matches!(verdict(&repairs, begins + 301), Verdict::Wait { why: Waits::Pause, .. }));
    }
    assert_eq!(verdict(&repairs, 3600), Verdict::Begin(Step::Reboot));
    repairs.push(over(Step::Reboot, 3600, Outcome::Failed));
    assert_eq!(verdict(&repairs, 3600 + 300 + 2400), Verdict::Suspended(Suspended::Spent(Step::Reboot)));
    assert_eq!(verdict(&repairs, 3601 + 86_400), Verdict::Begin(Step::Reboot));
}

#[test]
fn a_person_is_asked_and_waited_for() {
    let failed = [600, 1200, 2100].map(|begins| over(Step::Restart, begins, Outcome::Failed));
    let ask = |more: &[Repair], now| {
        let mut patient = patient(Highest::Reboot, [&failed, more].concat());
        patient.policy.reboot_confirmed_by = Confirmation::Person;
        alone(&patient, now)
    };
    assert_eq!(ask(&[], 3600), Verdict::Ask);
    let until = at(3600 + 86_400);
    assert_eq!(ask(&[asked(3600, None)], 3700), Verdict::Wait { why: Waits::Confirmation, until });
    assert_eq!(ask(&[asked(3600, Some(3700))], 3701), Verdict::Act);
    assert_eq!(ask(&[asked(3600, None)], 3600 + 86_400), Verdict::End(Outcome::Unconfirmed));
}

#[test]
fn whoever_is_heard_or_said_goodbye_or_is_attended_is_left_alone() {
    let silent = patient(Highest::Reboot, vec![]);
    let goodbye = Patient { goodbye_at: Some(at(1)), ..silent.clone() };
    let attended = Patient { attended: true, ..silent.clone() };
    let never = Patient { heard_at: None, ..silent.clone() };
    let off = Patient { policy: policy(Highest::Off, Confirmation::Policy), ..silent.clone() };
    for left_alone in [goodbye, attended, never, off] {
        assert_eq!(alone(&left_alone, 5000), Verdict::Nothing);
    }
    // We stopped it ourselves, and then it did not come.
    let failed = over(Step::Restart, 600, Outcome::Failed);
    let ours = Patient { goodbye_at: Some(at(601)), repairs: vec![failed], ..silent };
    assert_eq!(alone(&ours, 5000), Verdict::Begin(Step::Restart));
}

#[test]
fn silence_counts_only_while_somebody_listened() {
    let verdict = judge(&patient(Highest::Restart, vec![]), &[], &RULES, at(5000), at(5100));
    assert_eq!(verdict, Verdict::Wait { why: Waits::Window, until: at(5600) });
}

#[test]
fn a_site_that_fell_silent_as_a_whole_is_left_alone() {
    let patient = patient(Highest::Reboot, vec![]);
    let judge = |witnesses: &[Witness]| judge(&patient, witnesses, &RULES, at(-10_000), at(1000));
    let near = |heard| Witness { same_site: true, heard_at: at(heard) };
    let far = |heard| Witness { same_site: false, heard_at: at(heard) };
    let (dark, restart) = (Verdict::Suspended(Suspended::SiteDark), Verdict::Begin(Step::Restart));
    assert_eq!(judge(&[near(10), near(-20), far(999)]), dark);
    assert_eq!(judge(&[near(10), near(999)]), restart);
    // Dead for long: that says nothing of this silence. Then the other sites tell.
    assert_eq!(judge(&[near(-5000), far(999)]), restart);
    assert_eq!(judge(&[near(-5000), far(10)]), dark);
    assert_eq!(judge(&[near(-5000)]), restart);
}

#[test]
fn a_refusal_and_a_node_that_is_not_reached() {
    let with = |outcome| patient(Highest::Reboot, vec![over(Step::Restart, 600, outcome); 4]);
    assert_eq!(alone(&with(Outcome::Refused), 9000), Verdict::Suspended(Suspended::Refused));
    // Nothing was done, so nothing is spent, and nothing has failed that a reboot would follow.
    assert_eq!(alone(&with(Outcome::Unreachable), 9000), Verdict::Begin(Step::Restart));
    // It may have been done, so it counts, but it has not failed.
    assert_eq!(alone(&with(Outcome::Unknown), 9000), Verdict::Begin(Step::Restart));
    let spent = patient(Highest::Reboot, vec![over(Step::Restart, 600, Outcome::Unknown); 6]);
    assert_eq!(alone(&spent, 40_000), Verdict::Suspended(Suspended::Spent(Step::Restart)));
}

#[test]
fn an_open_repair_ends_when_its_reason_does() {
    let open = |repair| patient(Highest::Reboot, vec![repair]);
    let mut heard = open(Repair { ended: None, ..over(Step::Restart, 600, Outcome::Failed) });
    heard.heard_at = Some(at(610));
    assert_eq!(alone(&heard, 620), Verdict::End(Outcome::Revived));
    let lost = Repair { answered: false, ended: None, ..over(Step::Reboot, 600, Outcome::Failed) };
    assert_eq!(alone(&open(lost), 900), Verdict::End(Outcome::Unknown));
    let mut back = open(asked(600, Some(700)));
    back.heard_at = Some(at(690));
    assert_eq!(alone(&back, 701), Verdict::End(Outcome::Withdrawn));
    let mut forbidden = open(asked(600, Some(700)));
    forbidden.policy.highest = Highest::Restart;
    assert_eq!(alone(&forbidden, 701), Verdict::End(Outcome::Withdrawn));
}

fn any_repair() -> impl Strategy<Value = Repair> {
    let outcome = prop_oneof![
        Just(Outcome::Failed),
        Just(Outcome::Failed),
        Just(Outcome::Unknown),
        Just(Outcome::Refused),
        Just(Outcome::Unreachable),
        Just(Outcome::Unconfirmed),
        Just(Outcome::Revived),
    ];
    let step = prop_oneof![Just(Step::Restart), Just(Step::Restart), Just(Step::Reboot)];
    (step, -100_000..200_000_i64, outcome).prop_map(|(step, begun, outcome)| over(step, begun, outcome))
}

fn any_patient() -> impl Strategy<Value = Patient> {
    let highest = prop_oneof![Just(Highest::Off), Just(Highest::Restart), Just(Highest::Reboot)];
    let confirmed_by = prop_oneof![Just(Confirmation::Person), Just(Confirmation::Policy)];
    let repairs = prop::collection::vec(any_repair(), 0..8);
    let goodbye = prop::option::weighted(0.1, -1000..200_000_i64);
    (
        highest,
        confirmed_by,
        repairs,
        goodbye,
        prop::bool::weighted(0.1),
        prop::option::weighted(0.3, any_repair()),
    )
        .prop_map(|(highest, confirmed_by, mut repairs, goodbye, attended, open)| {
            repairs.sort_by_key(|repair| repair.begun_at);
            repairs.extend(open.map(|open| Repair { ended: None, ..open }));
            let goodbye_at = goodbye.map(at);
            let policy = policy(highest, confirmed_by);
            Patient { policy, heard_at: Some(at(0)), goodbye_at, attended, repairs }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// Whatever is known of a drone, the laws hold.
    #[test]
    fn the_laws_of_repair(
        patient in any_patient(),
        witnesses in prop::collection::vec((any::<bool>(), -2000..200_000_i64), 0..4),
        listening in -10_000..200_000_i64,
        now in 0..200_000_i64,
    ) {
        let witnesses: Vec<_> = witnesses.into_iter()
            .map(|(same_site, heard)| Witness { same_site, heard_at: at(heard.min(now)) }).collect();
        let verdict = judge(&patient, &witnesses, &RULES, at(listening), at(now));
        let touches = matches!(verdict, Verdict::Begin(_) | Verdict::Ask | Verdict::Act);
        prop_assert_eq!(verdict, judge(&patient, &witnesses, &RULES, at(listening), at(now)));
        if !touches {
            return Ok(());
        }
        // Never with a fresh heartbeat, never in the dark, never what was not switched on, never twice for one intent.
        prop_assert!(at(now) >= at(0) + RULES.window && at(now) >= at(listening) + RULES.window);
        prop_assert!(patient.policy.highest != Highest::Off && !patient.attended);
        let open = patient.repairs.iter().find(|repair| repair.ended.is_none());
        prop_assert!(open.is_none_or(|open| open.acted_at.is_none()));
        let near: Vec<_> = witnesses.iter().filter(|witness| witness.same_site && witness.heard_at > at(-600)).collect();
        prop_assert!(near.is_empty() || near.iter().any(|witness| witness.heard_at > at(now - 60)));
        let reboots = verdict != Verdict::Begin(Step::Restart);
        if reboots && verdict != Verdict::Act {
            let failed = patient.repairs.iter().filter(|repair| {
                repair.step == Step::Restart && repair.begun_at > at(0)
                    && repair.ended.is_some_and(|(_, outcome)| outcome == Outcome::Failed)
            });
            prop_assert!(failed.count() >= RULES.restarts_before_reboot);
            prop_assert_eq!(patient.policy.highest, Highest::Reboot);
        }
        let day = |step| patient.repairs.iter().filter(|repair| {
            repair.step == step && repair.acted_at.is_some_and(|acted| acted > at(now) - TimeDelta::days(1))
                && !matches!(repair.ended, Some((_, Outcome::Refused | Outcome::Unreachable)))
        }).count();
        prop_assert!(reboots || day(Step::Restart) < RULES.restarts_per_day);
        prop_assert!(!reboots || verdict == Verdict::Act || day(Step::Reboot) < RULES.reboots_per_day);
    }
}

/// A drone that fails in its own way, an orchestrator that dies, a network that goes: a month of it, from a seed.
struct World {
    random: ChaCha8Rng,
    patient: Patient,
    now: i64,
    listening_since: i64,
    /// What revives the drone, and since when it needs that; nothing while it is well.
    sick: Option<(Step, i64)>,
    /// While the site has no network.
    dark: Option<std::ops::Range<i64>>,
    neighbour_heard: i64,
    restarts: Vec<i64>,
    reboots: Vec<i64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut patient = patient(Highest::Reboot, vec![]);
        if random.random_bool(0.5) {
            patient.policy.reboot_confirmed_by = Confirmation::Person;
        }
        let (restarts, reboots) = (vec![], vec![]);
        Self {
            random,
            patient,
            now: 0,
            listening_since: -10_000,
            sick: None,
            dark: None,
            neighbour_heard: 0,
            restarts,
            reboots,
        }
    }

    fn step(&mut self) {
        self.now += self.random.random_range(10..200);
        let now = self.now;
        if self.sick.is_none() && self.random.random_bool(0.002) {
            let cure = if self.random.random_bool(0.6) { Step::Restart } else { Step::Reboot };
            self.sick = Some((cure, now));
        }
        self.dark = self.dark.take().filter(|dark| dark.contains(&now));
        if self.dark.is_none() && self.random.random_bool(0.0005) {
            self.dark = Some(now..now + self.random.random_range(100..20_000));
        }
        if self.random.random_bool(0.002) {
            self.listening_since = now;
        }
        if self.dark.is_none() {
            self.neighbour_heard = now;
            if self.sick.is_none() {
                self.patient.heard_at = Some(at(now));
            }
        }
        // As the database gives them.
        let (heard, day) = (self.patient.heard_at.unwrap(), at(now - 86_400));
        let last = |repair: &Repair| repair.acted_at.unwrap_or(repair.begun_at);
        self.patient.repairs.retain(|repair| last(repair) > heard.min(day) || repair.ended.is_none());
        let witness = Witness { same_site: true, heard_at: at(self.neighbour_heard) };
        let verdict = judge(&self.patient, &[witness], &RULES, at(self.listening_since), at(now));
        self.obey(verdict);
        assert!(self.sick.is_none_or(|(_, since)| now - since < 7 * 86_400), "given up at {now}");
    }

    fn obey(&mut self, verdict: Verdict) {
        let begun = asked(self.now, None);
        match verdict {
            Verdict::Begin(step) => {
                self.patient.repairs.push(Repair { step, acted_at: Some(at(self.now)), ..begun });
                self.act(step);
            }
            Verdict::Act => {
                self.open().acted_at = Some(begun.begun_at);
                self.act(Step::Reboot);
            }
            Verdict::Ask => self.patient.repairs.push(begun),
            Verdict::Wait { why: Waits::Confirmation, .. } if self.random.random_bool(0.1) => {
                self.open().confirmed_at = Some(begun.begun_at);
            }
            Verdict::End(outcome) => self.open().ended = Some((begun.begun_at, outcome)),
            _ => {}
        }
    }

    fn open(&mut self) -> &mut Repair {
        self.patient.repairs.iter_mut().find(|repair| repair.ended.is_none()).unwrap()
    }

    /// The orchestrator may die before it acts, or before it hears the answer.
    fn act(&mut self, step: Step) {
        assert!(self.sick.is_some(), "a drone that is well was touched at {}", self.now);
        // That the site is dark shows after the grace time.
        let dark = self.dark.as_ref().is_some_and(|dark| self.now > dark.start + 60);
        assert!(!dark, "something was done in the dark at {}", self.now);
        if self.random.random_bool(0.1) {
            return;
        }
        let log = if step == Step::Restart { &mut self.restarts } else { &mut self.reboots };
        log.push(self.now);
        self.sick = self.sick.filter(|&(cure, _)| step == Step::Restart && cure == Step::Reboot);
        self.open().answered = self.random.random_bool(0.9);
    }
}

fn most_within_a_day(log: &[i64]) -> usize {
    let day = |&end: &i64| log.iter().filter(|&&at| at <= end && at > end - 86_400).count();
    log.iter().map(day).max().unwrap_or_default()
}

#[test]
fn a_month_of_a_drone_that_fails() {
    let (mut restarts, mut reboots) = (0, 0);
    for seed in 0..60 {
        let mut world = World::new(seed);
        while world.now < 30 * 86_400 {
            world.step();
        }
        assert!(most_within_a_day(&world.restarts) <= RULES.restarts_per_day, "seed {seed}");
        assert!(most_within_a_day(&world.reboots) <= RULES.reboots_per_day, "seed {seed}");
        for (number, &reboot) in world.reboots.iter().enumerate() {
            let since = number.checked_sub(1).map_or(0, |former| world.reboots[former]);
            let between = world.restarts.iter().filter(|&&restart| restart > since && restart < reboot);
            // A second reboot of one episode follows the same failed restarts.
            assert!(number > 0 || between.count() >= RULES.restarts_before_reboot, "seed {seed}");
        }
        restarts += world.restarts.len();
        reboots += world.reboots.len();
    }
    assert!(
        restarts > 500 && reboots > 100,
        "{restarts} restarts and {reboots} reboots: the model is too tame"
    );
}
