//! `task list`.

use clap::Args;

use crate::api::wire::{MAX_PAGE, Page, UnreadableView};
use crate::cli::conn::Daemon;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{JsonArray, plain, say};
use crate::cli::render::task as render;
use crate::cli::route::query;
use crate::cli::when::{self, Toward};
use crate::cli::{clock, exit, values};
use crate::task::{State, Timestamp};

/// Arguments of `task list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only tasks in this state (repeatable)
    #[arg(short, long, value_name = "STATE", value_delimiter = ',', value_parser = values::states())]
    pub state: Vec<State>,
    /// At most this many, 1-1000
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, default_value_t = crate::api::wire::DEFAULT_PAGE, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_PAGE)))]
    pub limit: u32,
    /// Only tasks created since this time: RFC 3339, 22:00, 'yesterday 07:00', 2h (ago)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Go on where an earlier page ended
    #[arg(long, value_name = "CURSOR")]
    pub cursor: Option<String>,
    /// All pages
    #[arg(short, long, conflicts_with = "limit")]
    pub all: bool,
}

/// Lists.
///
/// # Errors
/// A bad time, no daemon, or its refusal.
pub async fn run(args: &ListArgs, context: &Context) -> Result<u8, CliError> {
    let since = match &args.since {
        Some(text) => Some(
            when::parse(text, Toward::Past, &clock::now_local())
                .map_err(|error| CliError::usage(format!("--since: {error}")))?,
        ),
        None => None,
    };
    let mut daemon = context.daemon().await?;
    let mut cursor = args.cursor.clone();
    let mut array = JsonArray::default();
    let mut any = false;
    let mut unreadable = Vec::new();
    loop {
        let page = context
            .with_progress("listing", page(&mut daemon, args, since, cursor.as_deref()))
            .await?;
        if context.out.json {
            for task in &page.tasks {
                array.push(&context.out, task)?;
            }
        } else if !page.tasks.is_empty() {
            // Each page is a table of its own: a list of millions needs no memory.
            for line in render::list(&page.tasks, clock::now(), &context.out)
                .iter()
                .skip(usize::from(any))
            {
                context.out.line(line)?;
            }
        }
        any |= !page.tasks.is_empty();
        unreadable.extend(page.unreadable);
        cursor = page.next_cursor;
        if !args.all || cursor.is_none() {
            break;
        }
    }
    if context.out.json {
        array.finish(&context.out)?;
    } else if !any && unreadable.is_empty() {
        say(if args.state.is_empty() && since.is_none() {
            "no tasks"
        } else {
            "no such tasks"
        });
    }
    say_unreadable(&unreadable);
    if let Some(cursor) = cursor {
        if context.out.json {
            say(&serde_json::json!({ "next_cursor": cursor }).to_string());
            return Ok(exit::OK);
        }
        say(&format!("there are more: --cursor {cursor} (or --all)"));
    }
    Ok(exit::OK)
}

/// What a list has to leave out is told beside it, for people and scripts alike.
fn say_unreadable(unreadable: &[UnreadableView]) {
    if let Some(first) = unreadable.first() {
        say(&format!(
            "left out: {} that cannot be read, the first is {}: {} (`auto-claude check` lists all)",
            if unreadable.len() == 1 {
                "1 damaged task".to_owned()
            } else {
                format!("{} damaged tasks", unreadable.len())
            },
            plain(&first.id),
            plain(&first.reason)
        ));
    }
}

async fn page(
    daemon: &mut Daemon,
    args: &ListArgs,
    since: Option<Timestamp>,
    cursor: Option<&str>,
) -> Result<Page, CliError> {
    let limit = if args.all { MAX_PAGE } else { args.limit };
    let mut pairs: Vec<(&str, String)> = vec![("limit", limit.to_string())];
    pairs.extend(
        args.state
            .iter()
            .map(|state| ("state", state.name().to_owned())),
    );
    pairs.extend(since.map(|since| ("since", since.to_string())));
    pairs.extend(cursor.map(|cursor| ("cursor", cursor.to_owned())));
    daemon.get(&format!("/tasks?{}", query(&pairs))).await
}
