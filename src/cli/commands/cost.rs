//! `cost`: what runs of agents cost.

use clap::Args;

use crate::api::wire::{BudgetView, CostView};
use crate::budget::usd;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{plain, say};
use crate::cli::render::budget;
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
    /// Only the budgets, and where they stand: what is used, and what running attempts have reserved
    #[arg(long, conflicts_with_all = ["task", "by", "since"])]
    pub budgets: bool,
}

/// Shows.
///
/// # Errors
/// A time that cannot be read, no daemon, or its refusal.
pub async fn run(args: CostArgs, context: &Context) -> Result<u8, CliError> {
    if args.budgets {
        return budgets(context).await;
    }
    let mut pairs = vec![("by", args.by.clone())];
    if let Some(text) = &args.since {
        let since = when::parse(text, Toward::Past, &clock::now_local())
            .map_err(|error| CliError::usage(format!("--since: {error}")))?;
        pairs.push(("since", since.to_string()));
    }
    let of_all = args.task.is_none();
    pairs.extend(args.task.map(|task| ("task", task)));
    let mut daemon = context.daemon().await?;
    let costs: Vec<CostView> = daemon.get(&format!("/costs?{}", query(&pairs))).await?;
    if context.out.json {
        context.out.json_array(&costs)?;
        return Ok(exit::OK);
    }
    if costs.is_empty() {
        say("no run of an agent is on record");
    } else {
        show(&costs, context)?;
    }
    // The sums of all are shown with what they are measured by.
    let budgets: Vec<BudgetView> = match of_all {
        true => daemon.get("/budgets").await?,
        false => Vec::new(),
    };
    if !budgets.is_empty() {
        context.out.line("")?;
        for line in budget::table(&budgets, clock::now(), context.out.columns) {
            context.out.line(&line)?;
        }
    }
    Ok(exit::OK)
}

async fn budgets(context: &Context) -> Result<u8, CliError> {
    let budgets: Vec<BudgetView> = context.daemon().await?.get("/budgets").await?;
    if context.out.json {
        context.out.json_array(&budgets)?;
    } else if budgets.is_empty() {
        say("there is no budget: see --budget of taskctl task create, and the settings budget_…");
    } else {
        for line in budget::table(&budgets, clock::now(), context.out.columns) {
            context.out.line(&line)?;
        }
    }
    Ok(exit::OK)
}

fn show(costs: &[CostView], context: &Context) -> Result<(), CliError> {
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
    Ok(())
}

fn row(cost: &CostView) -> Vec<String> {
    let tokens = &cost.tokens;
    let kinds = [tokens.input, tokens.cache_read, tokens.cache_write];
    let read = kinds.into_iter().fold(0, u64::saturating_add);
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
