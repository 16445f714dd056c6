//! Budgets, judged by a second account of the same runs: what each claim has reserved, and what each run has truly used up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ledger::{check_row, check_told};
use super::sessions::place_of;
use super::{Judged, Observation, Seen, demand};
use crate::budget::{Amounts, Budget, MEASURES, Measure, Scope};
use crate::config::Settings;
use crate::sim::truth::Truths;
use crate::store::{StoreError, Tx, Used};
use crate::supervisor::event::{AttemptReport, Closed};
use crate::task::{
    Actor, AttemptId, Event, Lifecycle, PauseReason, Place, Prompt, Task, TaskId, Timestamp,
};

pub(super) const LEDGER: &str = "the ledger is what agents truly spent";
const SETTLED: &str = "a share is settled once, with its attempt";
const NEVER_BEYOND: &str = "reservations never exceed a budget";
const TOLD: &str = "an attempt is told its share";
const PAUSED: &str = "a task is paused for a budget that is used up, and a person resumes it";
/// The directory of the daemon's own probes, in the ledger.
const PROBE: &str = "probe";
const DAY_MS: i64 = 86_400_000;
/// Less than this is as good as nothing.
const LEAST: [u64; 3] = [10_000, 1, 1_000];

/// Whose budget counts something.
#[derive(Debug, Clone)]
struct Whose {
    task: TaskId,
    project: String,
    place: Place,
}

#[derive(Debug)]
struct Charge {
    of: Whose,
    at: Timestamp,
    amounts: Amounts,
}

/// What a transaction says of money.
#[derive(Debug, Clone, Default)]
pub struct Money {
    /// What the ledger says of tasks of which an attempt has ended.
    used: BTreeMap<TaskId, Used>,
    /// What attempts have reserved that were claimed, have said something, or have ended.
    reserved: BTreeMap<AttemptId, Option<Budget>>,
    /// What launches hand on: their share, and where the daemon's own probes are sent.
    pub launched: Vec<(AttemptId, Budget, Option<Place>)>,
}

/// The second account.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    charges: Vec<Charge>,
    used: BTreeMap<TaskId, Used>,
    reserved: BTreeMap<AttemptId, (Whose, Budget)>,
    probes: BTreeMap<AttemptId, Place>,
    settings: Arc<Settings>,
    met: Vec<&'static str>,
}

fn whose(task: &Task, life: &Lifecycle) -> Option<Whose> {
    Some(Whose {
        task: task.id.clone(),
        project: task.spec.cwd.to_string_lossy().into_owned(),
        place: place_of(task, life)?,
    })
}

/// Reads what a transaction leaves of money.
pub(super) fn read(tx: &Tx<'_>, observed: &mut Observation) -> Result<(), StoreError> {
    let ledger = tx.ledger();
    let ever = Timestamp::from_ms(Timestamp::MIN_MS);
    let money = &mut observed.money;
    for report in &observed.reports {
        let attempt = report.attempt();
        let is_end = matches!(report, AttemptReport::Closed(_));
        if is_end && !money.used.contains_key(&attempt.task) {
            let id = attempt.task.to_string();
            let used = ledger.used(&Scope::Task { id }, ever)?;
            money.used.insert(attempt.task.clone(), used);
        }
        if is_end || matches!(report, AttemptReport::Heard { .. }) {
            let reserved = ledger.reservation(attempt)?;
            money.reserved.insert(attempt.clone(), reserved);
        }
    }
    for (attempt, ..) in &money.launched {
        let reserved = ledger.reservation(attempt)?;
        money.reserved.insert(attempt.clone(), reserved);
    }
    Ok(())
}

impl Budgets {
    /// What was met since.
    pub(super) fn met(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.met)
    }

    pub(super) fn set(&mut self, settings: &Arc<Settings>) {
        self.settings = Arc::clone(settings);
    }

    /// Attempts that have ended are charged, once, with what they have truly used. Before the journals are folded: `tasks` are
    /// as they were.
    pub(super) fn settle(
        &mut self,
        observed: &Observation,
        tasks: &BTreeMap<TaskId, Seen>,
        truths: &Truths,
    ) -> Judged {
        if let Some(settings) = &observed.settings {
            self.settings = Arc::clone(settings);
        }
        for report in &observed.reports {
            let AttemptReport::Closed(closed) = report else {
                continue;
            };
            let attempt = &closed.attempt;
            let kept = observed.money.reserved.get(attempt).copied().flatten();
            demand(kept.is_none(), SETTLED, || {
                format!("{attempt} has ended, and {kept:?} is still reserved")
            })?;
            let share = self.reserved.remove(attempt);
            let task = tasks.get(&attempt.task).map(|seen| &seen.task);
            let running = task.filter(|task| task.slot.is_some() && task.attempt() == *attempt);
            let of = match (running, self.probes.remove(attempt)) {
                (Some(task), _) => whose(task, &task.life),
                (None, Some(place)) => Some(Whose {
                    task: attempt.task.clone(),
                    project: PROBE.to_owned(),
                    place,
                }),
                (None, None) => None,
            };
            let began = closed
                .started_at
                .or_else(|| running.and_then(|task| task.life.started_at))
                .or_else(|| told_start(observed, attempt));
            self.charge(closed, of, share.map(|it| it.1), began, observed, truths)?;
        }
        Ok(())
    }

    fn charge(
        &mut self,
        closed: &Closed,
        of: Option<Whose>,
        share: Option<Budget>,
        began: Option<Timestamp>,
        observed: &Observation,
        truths: &Truths,
    ) -> Judged {
        let attempt = &closed.attempt;
        let now = observed.now.unwrap_or(Timestamp::from_ms(0));
        let is = observed.money.used.get(&attempt.task).copied();
        let is = is.unwrap_or_default();
        let was = self
            .used
            .insert(attempt.task.clone(), is)
            .unwrap_or_default();
        let row = Used {
            amounts: minus(is.amounts, was.amounts),
            unknown: is.unknown.saturating_sub(was.unknown),
        };
        let is_probe = of.as_ref().is_some_and(|of| of.project == PROBE);
        let nothing = row == Used::default() && is.amounts == was.amounts;
        if of.is_none() || !closed.outcome.kind.may_have_run() || (is_probe && nothing) {
            // Told again, or it never ran; or a probe that nobody waits for any more.
            return demand(nothing, LEDGER, || {
                format!("{attempt} costs nothing (more), the ledger has {row:?} for it")
            });
        }
        check_told(closed, share, truths)?;
        let share_of = share.unwrap_or(Budget::NONE);
        check_row(closed, &row, share_of, began, is_probe)?;
        let told = closed.report.as_ref().and_then(|it| it.cost_micro_usd);
        self.met.push(match (told, row.unknown) {
            (Some(_), _) => "a cost is told",
            (None, 0) => "a cost is reckoned",
            (None, _) if share.is_some() => "an unknown cost counts as what was allowed",
            (None, _) => "an unknown cost",
        });
        if let Some(of) = of {
            self.charges.push(Charge {
                of,
                at: now,
                amounts: row.amounts,
            });
        }
        Ok(())
    }

    /// What running attempts have reserved more of, and what was claimed: after the journals were folded.
    pub(super) fn claimed(
        &mut self,
        observed: &Observation,
        claimed: &[&Task],
        now: Timestamp,
    ) -> Judged {
        for (attempt, share) in &observed.money.reserved {
            let Some((_, known)) = self.reserved.get_mut(attempt) else {
                continue;
            };
            let Some(share) = *share else {
                return demand(false, SETTLED, || {
                    format!("{attempt} runs, and its share {known:?} is gone")
                });
            };
            let more = share.tokens.unwrap_or(0) >= known.tokens.unwrap_or(0);
            let same = (share.micro_usd, share.run_ms) == (known.micro_usd, known.run_ms);
            demand(more && same, SETTLED, || {
                format!("{attempt}: its share {known:?} has become {share:?}")
            })?;
            if *known != share {
                self.met.push("a share grows");
            }
            *known = share;
        }
        for (attempt, _, place) in &observed.money.launched {
            if let Some(place) = place {
                self.probes.insert(attempt.clone(), place.clone());
            }
        }
        for task in claimed {
            self.reserve(task, observed)?;
        }
        for task in claimed {
            self.check_claim(task, now)?;
        }
        Ok(())
    }

    fn reserve(&mut self, task: &Task, observed: &Observation) -> Judged {
        let Some(of) = whose(task, &task.life) else {
            return Ok(());
        };
        let attempt = task.attempt();
        let reserved = observed.money.reserved.get(&attempt).copied().flatten();
        let share = reserved.unwrap_or(Budget::NONE);
        let launched = &observed.money.launched;
        let handed = launched.iter().find(|it| it.0 == attempt).map(|it| it.1);
        demand(handed == Some(share), TOLD, || {
            format!("{attempt} is told {handed:?}, {share:?} is reserved")
        })?;
        if reserved.is_some() {
            self.met.push("a share is reserved");
            self.reserved.insert(attempt, (of, share));
        }
        Ok(())
    }

    /// What is used and reserved is never more than the budget, and nobody starts with nothing left.
    fn check_claim(&self, task: &Task, now: Timestamp) -> Judged {
        let Some(of) = whose(task, &task.life) else {
            return Ok(());
        };
        let share = self.reserved.get(&task.attempt()).map(|it| it.1);
        let share = share.unwrap_or(Budget::NONE);
        for (scope, limit) in self.concerned(task, &of) {
            if limit.is_none() {
                continue;
            }
            let used = self.used_in(scope, &of, now);
            let reserved = self.reserved_in(scope, &of);
            for measure in MEASURES {
                let Some(most) = limit.get(measure) else {
                    continue;
                };
                let (used, reserved) = (used.get(measure), reserved.get(measure));
                let told = || {
                    format!(
                        "{} starts with {share:?} of {limit:?} ({scope:?}): {used} used, {reserved} reserved",
                        task.id
                    )
                };
                demand(
                    share.get(measure).is_some_and(|part| part > 0),
                    NEVER_BEYOND,
                    told,
                )?;
                demand(used.saturating_add(reserved) <= most, NEVER_BEYOND, told)?;
            }
        }
        Ok(())
    }

    fn concerned(&self, task: &Task, of: &Whose) -> [(Kind, Budget); 4] {
        let settings = &self.settings;
        let own = task.spec.command.prompt().map(Prompt::budget);
        let session = settings
            .budget_sessions
            .iter()
            .find(|it| it.name == of.project);
        let account = format!("{}/{}", of.place.agent, of.place.account);
        let account = settings
            .budget_accounts
            .iter()
            .find(|it| it.name == account);
        [
            (Kind::Task, own.unwrap_or(Budget::NONE)),
            (
                Kind::Session,
                session.map_or(settings.budget_session, |it| it.budget),
            ),
            (
                Kind::Account,
                account.map_or(settings.budget_account_day, |it| it.budget),
            ),
            (Kind::Day, settings.budget_day),
        ]
    }

    fn used_in(&self, kind: Kind, of: &Whose, now: Timestamp) -> Amounts {
        let today = now.as_ms().div_euclid(DAY_MS) * DAY_MS;
        let counts = |charge: &&Charge| {
            kind.joins(&charge.of, of)
                && (!matches!(kind, Kind::Account | Kind::Day) || charge.at.as_ms() >= today)
        };
        let charges = self.charges.iter().filter(counts);
        charges.fold(Amounts::default(), |sum, charge| sum.plus(charge.amounts))
    }

    fn reserved_in(&self, kind: Kind, of: &Whose) -> Amounts {
        let shares = self.reserved.values().filter(|it| kind.joins(&it.0, of));
        shares.fold(Amounts::default(), |sum, it| sum.plus(it.1.amounts()))
    }

    /// A task is paused for money, or goes on.
    pub(super) fn moved(
        &self,
        task: &Task,
        before: &Lifecycle,
        event: &Event,
        actor: Actor,
        now: Timestamp,
    ) -> Judged {
        let reason = PauseReason::Budget;
        if *event == (Event::Resumed { reason }) {
            return demand(actor != Actor::Daemon, PAUSED, || {
                format!("{} goes on by itself", task.id)
            });
        }
        if *event != (Event::Paused { reason }) || actor != Actor::Daemon {
            return Ok(());
        }
        let Some(of) = whose(task, before) else {
            return demand(false, PAUSED, || format!("{} is a command", task.id));
        };
        let is_used_up = self.concerned(task, &of).into_iter().any(|(kind, limit)| {
            let used = self.used_in(kind, &of, now);
            let has_begun = before.generation > 0 || matches!(kind, Kind::Task);
            has_begun && MEASURES.into_iter().any(|it| nothing_left(it, limit, used))
        });
        demand(is_used_up, PAUSED, || {
            format!("{} is paused, none of its budgets is used up", task.id)
        })
    }

    /// A daemon starts: what is reserved and what was spent is what was committed.
    pub(super) fn reread(&self, tx: &Tx<'_>) -> Result<Judged, StoreError> {
        for (attempt, (_, share)) in &self.reserved {
            let row = tx.ledger().reservation(attempt)?;
            if row != Some(*share) {
                return Ok(demand(false, SETTLED, || {
                    format!("{attempt} has reserved {share:?}, now it is {row:?}")
                }));
            }
        }
        let ever = Timestamp::from_ms(Timestamp::MIN_MS);
        let all = tx.ledger().used(&Scope::Day, ever)?.amounts;
        let charges = self.charges.iter().map(|charge| charge.amounts);
        let charged = charges.fold(Amounts::default(), Amounts::plus);
        Ok(demand(all == charged, LEDGER, || {
            format!("{charged:?} was spent, the ledger has {all:?}")
        }))
    }

    /// Whether the rows about what is reserved are as this commit leaves them, and whether that is news.
    pub(super) fn is_there(
        &self,
        tx: &Tx<'_>,
        observed: &Observation,
    ) -> Result<Option<bool>, StoreError> {
        let mut differs = false;
        for (attempt, share) in &observed.money.reserved {
            if tx.ledger().reservation(attempt)? != *share {
                return Ok(None);
            }
            differs |= self.reserved.get(attempt).map(|it| it.1) != *share;
        }
        Ok(Some(differs))
    }
}

/// Which runs a budget adds up.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Task,
    Session,
    Account,
    Day,
}

impl Kind {
    fn joins(self, one: &Whose, other: &Whose) -> bool {
        let (here, there) = (&one.place, &other.place);
        match self {
            Self::Task => one.task == other.task,
            Self::Session => one.project == other.project,
            Self::Account => (&here.agent, &here.account) == (&there.agent, &there.account),
            Self::Day => true,
        }
    }
}

fn nothing_left(measure: Measure, limit: Budget, used: Amounts) -> bool {
    let least = MEASURES.into_iter().zip(LEAST).find(|it| it.0 == measure);
    let least = least.map_or(1, |it| it.1);
    let limit = limit.get(measure);
    limit.is_some_and(|limit| limit.saturating_sub(used.get(measure)) < least.min(limit).max(1))
}

const fn minus(sum: Amounts, part: Amounts) -> Amounts {
    Amounts {
        micro_usd: sum.micro_usd.saturating_sub(part.micro_usd),
        tokens: sum.tokens.saturating_sub(part.tokens),
        run_ms: sum.run_ms.saturating_sub(part.run_ms),
    }
}

/// When the same transaction was told that it began.
fn told_start(observed: &Observation, attempt: &AttemptId) -> Option<Timestamp> {
    observed.reports.iter().find_map(|report| match report {
        AttemptReport::Started {
            attempt: of,
            started_at,
        } if of == attempt => Some(*started_at),
        _ => None,
    })
}
