//! A stand-in for the Messages API on loopback: what the real agents talk to in tests.
//!
//! One server serves many accounts, told apart by the credential of a request. What an account answers is decided in this
//! order, so that a test says only what is unusual:
//! 1. [`server::Api::trouble`]: the same for everybody (a server that is down);
//! 2. the account's state ([`account::State`]): login, billing, usage windows, trouble of its own;
//! 3. answers for prompts that hold a marker ([`server::Account::when`]), each list in its order;
//! 4. the account's queue ([`server::Account::next`]), one answer a request;
//! 5. the account's usual answer ([`server::Account::usually`]), in the beginning a short text.
//!
//! Lists and queue are taken only by requests of an agent's main loop; what it asks beside (titles, quota probes) gets a text.
//! Every request is kept ([`server::Api::requests`]) with what was served for it, so that a ledger can be compared.
//!
//! ```text
//! let api = Api::start();
//! let work = api.account("work");
//! work.next(Answer::tool("Bash", json!({"command": "make"})));
//! work.next(Answer::text("Done."));
//! // ANTHROPIC_BASE_URL=api.url(), and ANTHROPIC_API_KEY=work.key() or CLAUDE_CODE_OAUTH_TOKEN=work.token()
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "the stand-in has a clock of its own and bounds its waits by it"
)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]
#![expect(dead_code, reason = "each test file uses its part")]

pub mod account;
pub mod answer;
mod choose;
mod clock;
mod http;
mod perform;
pub mod record;
pub mod server;
mod wire;
