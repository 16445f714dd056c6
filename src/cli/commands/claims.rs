//! `system pause` and `system resume`: whether new attempts are started.

use clap::Args;

use crate::api::wire::ClaimsView;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit;
use crate::cli::output::plain;

/// Arguments of both.
#[derive(Debug, Args)]
pub struct ClaimsArgs {}

/// Switches.
///
/// # Errors
/// No daemon, or its refusal.
pub async fn run(enable: bool, context: &Context) -> Result<u8, CliError> {
    let route = if enable {
        "/system/resume"
    } else {
        "/system/pause"
    };
    let claims: ClaimsView = context
        .daemon()
        .await?
        .post(route, &serde_json::json!({}))
        .await?;
    if context.out.json {
        context.out.json_line(&claims)?;
    } else {
        let text = match (claims.enabled, claims.why_not) {
            (true, _) => "new attempts are started".to_owned(),
            (false, Some(why)) => format!("no new attempts are started: {}", plain(&why)),
            (false, None) => "no new attempts are started; running ones go on".to_owned(),
        };
        context.out.line(&text)?;
    }
    Ok(exit::OK)
}
