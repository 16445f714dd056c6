//! `cost`: what runs of agents cost.

use clap::Args;

use crate::api::wire::CostView;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::render::table::{Column, cut, droppable, keep, render};
use crate::cli::route::query;
use crate::cli::when::{self, Toward};
use crate::cli::{clock, duration, exit};

/// Arguments of `cost`.
#[derive(Debug, Args)]
pub struct CostArgs {
    /// Of this task only
    #[arg(value_name = "TASK")]
    pub task: Option<String>,
    /// Summed up by
    #[arg(long, value_name = "WHAT", value_parser = ["task", "session", "user", "account", "model", "day"], default_value = "task")]
    pub by: String,
    /// Of runs that ended since then: RFC 3339, 22:00, yesterday, 7d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// Shows.
///
/// # Errors
/// A time that cannot be read, no daemon, or its refusal.
pub async fn run(args: CostArgs, context: &Context) -> Result<u8, CliError> {
    let mut pairs = vec![("by", args.by.clone())];
    if let Some(text) = &args.since {
        let since = when::parse(text, Toward::Past, &clock::now_local())
            .map_err(|error| CliError::usage(format!("--since: {error}")))?;
        pairs.push(("since", since.to_string()));
    }
    pairs.extend(args.task.map(|task| ("task", task)));
    let costs: Vec<CostView> = context
        .daemon()
        .await?
        .get(&format!("/costs?{}", query(&pairs)))
        .await?;
    if context.out.json {
        context.out.json_array(&costs)?;
        return Ok(exit::OK);
    }
    if costs.is_empty() {
        say("no run of an agent is on record");
        return Ok(exit::OK);
    }
    let columns: [Column; 6] = [
        cut("WHAT"),
        keep("COST"),
        droppable("RUNS", 3),
        droppable("TOKENS IN", 1),
        droppable("OUT", 2),
        droppable("TIME", 4),
    ];
    let rows: Vec<Vec<String>> = costs.iter().map(row).collect();
    for line in render(&columns, &rows, context.out.columns) {
        context.out.line(&line)?;
    }
    Ok(exit::OK)
}

fn row(cost: &CostView) -> Vec<String> {
    let tokens = &cost.tokens;
    let read = tokens.input + tokens.cache_read + tokens.cache_write;
    vec![
        if cost.group.is_empty() {
            "-".to_owned()
        } else {
            plain(&cost.group)
        },
        amount(cost),
        cost.runs.to_string(),
        read.to_string(),
        tokens.output.to_string(),
        duration::brief(cost.run_ms),
    ]
}

/// What is known of it: a sum with unknown parts is a lower bound, and nothing known is not nothing.
fn amount(cost: &CostView) -> String {
    let known = usd(cost.micro_usd);
    match (cost.unknown_runs, cost.estimated_runs) {
        (0, 0) => known,
        (0, _) => format!("about {known}"),
        (unknown, _) if unknown == cost.runs => "unknown".to_owned(),
        (unknown, _) => format!("{known} and {unknown} unknown"),
    }
}

/// An amount of dollars, to the cent, or finer where it is less than one.
#[must_use]
pub fn usd(micro: u64) -> String {
    const PER_CENT: u64 = 10_000;
    const PER_DOLLAR: u64 = 1_000_000;
    if micro > 0 && micro < PER_CENT {
        return format!("$0.{micro:06}");
    }
    let cents = (micro % PER_DOLLAR + PER_CENT / 2) / PER_CENT;
    let dollars = micro / PER_DOLLAR + cents / 100;
    format!("${dollars}.{:02}", cents % 100)
}

#[cfg(test)]
mod tests {
    use super::usd;

    #[test]
    fn amounts_are_rounded_to_the_cent_and_small_ones_are_not_nothing() {
        for (micro, text) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (6_060, "$0.006060"),
            (10_000, "$0.01"),
            (1_234_567, "$1.23"),
            (1_999_999, "$2.00"),
        ] {
            assert_eq!(usd(micro), text);
        }
    }
}
