//! A night in fast motion: fifty prompts for the real Claude Code on two accounts, with three limits, a cut of the network,
//! two daemons killed and the power off once. In the morning everything is done, and [`proof`] says at what price.
//!
//! Nothing here waits for a time: each misfortune comes when so many tasks are done, and goes when it has been seen.
//! `UPDATE_DOCS=1` writes the diary of the run to `docs/night.md`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops, and says where"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the proof names the events and ends that it is about"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a diary has times, and a daemon is started in another namespace"
)]

#[expect(dead_code, reason = "of the kit, only where the program is")]
#[path = "../claude_kit/mod.rs"]
mod claude_kit;
#[path = "../common/mod.rs"]
mod common;
#[path = "../claude_kit/known.rs"]
mod known;
#[path = "../messages_api/mod.rs"]
mod messages_api;

mod kit;
mod lives;
mod page;
mod power;
mod proof;

use kit::{EARLY, Night, PROMPTS};
use messages_api::account::{Billing, Window};
use messages_api::answer::{Answer, Cut, Gate};
use serde_json::json;

/// What happened that not every machine can do.
pub struct Luck {
    /// The machine went down and came up again.
    pub rebooted: bool,
}

#[test]
fn a_night_in_fast_motion() {
    let Some(mut night) = Night::new() else {
        return;
    };
    evening(&mut night);
    five_hours_are_used_up(&mut night);
    the_credit_is_used_up(&mut night);
    the_week_is_used_up(&mut night);
    the_network_is_cut(&mut night);
    let rebooted = power::the_power_goes(&mut night);
    morning(&mut night);
    let figures = proof::all(&night, &Luck { rebooted });
    page::write(&night, &figures);
    assert!(night.world.stop_daemon().success());
}

fn evening(night: &mut Night) {
    night.world.start();
    night.add_accounts();
    night.ask(0..EARLY);
    night.note(format!(
        "{EARLY} prompts are queued on the accounts `work` and `spare`, four slots"
    ));
}

/// The first limit; the daemon is killed while everybody on the account waits.
fn five_hours_are_used_up(night: &mut Night) {
    night.wait_completed(6);
    night.work.limit(Window::FiveHour, Some(6));
    let hold = night.wait_held(&night.work, "five_hour");
    night.note(
        "6 are done; `work` has used up its five hours, and is held until the announced reset",
    );
    night.world.kill_daemon();
    night.note("the daemon is killed (SIGKILL); what runs goes on without it");
    night.world.start();
    let after = night.known(&night.work)["holds"][0].clone();
    assert_eq!(
        (&after["kind"], &after["until"]),
        (&hold["kind"], &hold["until"])
    );
    night.note("the daemon is back; the hold is as it was");
}

/// The second limit, on the other account: a person pays.
fn the_credit_is_used_up(night: &mut Night) {
    night.wait_completed(12);
    night
        .spare
        .change(|state| state.billing = Billing::CreditTooLow);
    night.wait_held(&night.spare, "credit");
    night.note("12 are done; `spare` has no credit left, and is held until somebody knows better");
    night.spare.change(|state| state.billing = Billing::Good);
    night.note("somebody adds credit, and tells the daemon nothing");
    night.wait_open(&night.spare);
    night.note("a probe of `spare` was served: it is open");
    night.wait_open(&night.work);
    night.note("`work` has been open again since its window began anew and a probe was served");
}

/// The third limit; the daemon is killed while the probe is under way.
fn the_week_is_used_up(night: &mut Night) {
    night.wait_completed(20);
    night.work.limit(Window::SevenDay, Some(5));
    let gate = Gate::new();
    night.work.change(|state| state.gate = Some(gate.clone()));
    night.wait_held(&night.work, "weekly");
    night.note("20 are done; `work` has used up its week, and is held until the announced reset");
    night.wait("the probe has asked", |_| {
        (gate.reached() > 0).then_some(())
    });
    night.note(
        "the week begins anew, and one task of `work` asks as its probe; the answer takes long",
    );
    night.world.kill_daemon();
    night.note("the daemon is killed while the probe waits");
    night.world.start();
    let known = night.known(&night.work);
    assert_eq!(
        (&known["probing"], &known["holds"][0]["kind"]),
        (&json!(true), &json!("weekly"))
    );
    night.note("the daemon is back, and knows of the probe; nobody else starts on `work`");
    night.work.change(|state| state.gate = None);
    gate.open();
    night.wait_open(&night.work);
    assert_eq!(gate.reached(), 1, "one probe, and nothing else");
    night.note("the probe was served: `work` is open");
}

fn the_network_is_cut(night: &mut Night) {
    night.wait_completed(28);
    night.silence(Answer::cut(Cut::Silence), "cut Silence");
    night.api.refuse();
    night.note("28 are done; the network is cut in the midst of four answers");
    night.wait_held(&night.work, "network");
    night.wait_held(&night.spare, "network");
    night.note("both accounts are held: their server cannot be reached");
    // However fast the others were: each account has a task for its probe, and some are left for what comes next.
    night.ask(EARLY..PROMPTS);
    night.note(format!("{} more prompts are queued", PROMPTS - EARLY));
    // Who still tries when the network is back would ask beside the probes.
    night.wait("the cut has ended all that ran", |night| {
        let mut accounts = night.accounts().into_iter();
        let idle = accounts.all(|account| night.known(account)["running"] == 0);
        idle.then_some(())
    });
    // Each account waits for a time of its own. Who asks first must not do all the work before the other is open.
    let gates = [Gate::new(), Gate::new()];
    for (account, gate) in night.accounts().into_iter().zip(&gates) {
        account.change(|state| state.gate = Some(gate.clone()));
    }
    night.api.trouble(None);
    night.api.accept_again();
    night.note("the network is back");
    night.wait("a probe of each account has asked", |_| {
        gates.iter().all(|gate| gate.reached() > 0).then_some(())
    });
    for (account, gate) in night.accounts().into_iter().zip(&gates) {
        assert_eq!(gate.reached(), 1, "one probe, and nothing else");
        account.change(|state| state.gate = None);
        gate.open();
    }
    night.wait_open(&night.work);
    night.wait_open(&night.spare);
    night.note("a probe of each account was served: both are open");
}

fn morning(night: &mut Night) {
    night.wait_completed(PROMPTS);
    night.note(format!("all {PROMPTS} are done"));
}
