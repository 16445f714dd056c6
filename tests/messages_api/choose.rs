//! Which answer a request gets.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::Weak;

use super::account::State;
use super::answer::{Answer, Usage};
use super::record::Request;

/// What the server knows.
#[derive(Debug, Default)]
pub struct Inner {
    pub accounts: Vec<Known>,
    pub trouble: Option<Answer>,
    pub requests: Vec<Request>,
    pub connections: Vec<Weak<TcpStream>>,
}

/// One account and its script.
#[derive(Debug)]
pub struct Known {
    pub name: String,
    pub credentials: Vec<String>,
    pub state: State,
    pub queue: VecDeque<Answer>,
    pub marked: Vec<(String, VecDeque<Answer>)>,
    pub usual: Answer,
}

/// The answer and what goes with it.
#[derive(Debug)]
pub struct Chosen {
    /// For the record.
    pub label: String,
    pub answer: Answer,
    pub headers: Vec<(String, String)>,
    /// If it is a message of the model.
    pub usage: Usage,
}

impl Chosen {
    fn plain(label: &str, answer: Answer) -> Self {
        Self {
            label: label.to_owned(),
            usage: answer.usage.unwrap_or(Usage::USUAL),
            answer,
            headers: vec![],
        }
    }
}

impl Inner {
    /// For a request of messages; names its account in it.
    pub fn choose(&mut self, request: &mut Request, now_s: i64) -> Chosen {
        let known = self.accounts.iter_mut().find(|known| {
            request.credential().is_some_and(|sent| {
                known
                    .credentials
                    .iter()
                    .any(|credential| credential == sent)
            })
        });
        if let Some(known) = &known {
            request.account.clone_from(&known.name);
        }
        if let Some(answer) = &self.trouble {
            return Chosen::plain(&answer.label(), answer.clone());
        }
        let Some(known) = known else {
            return Chosen::plain("unknown credential", Answer::unauthorized());
        };
        let (headers, refusal) = known.state.judge(&request.model, now_s);
        if let Some((label, answer)) = refusal {
            return Chosen {
                usage: answer.usage.unwrap_or(known.state.usage),
                headers,
                ..Chosen::plain(&label, answer)
            };
        }
        let mut answer = known.script(request);
        if request.main {
            known.state.count(&request.model);
            if let Some(gate) = &known.state.gate {
                answer = answer.behind(gate);
            }
        }
        Chosen {
            label: answer.label(),
            usage: answer.usage.unwrap_or(known.state.usage),
            headers,
            answer,
        }
    }
}

impl Known {
    fn script(&mut self, request: &Request) -> Answer {
        if !request.main {
            return Answer::text("An aside.");
        }
        let marked = self
            .marked
            .iter_mut()
            .find(|(marker, answers)| !answers.is_empty() && request.mentions(marker))
            .and_then(|(_, answers)| answers.pop_front());
        marked
            .or_else(|| self.queue.pop_front())
            .unwrap_or_else(|| self.usual.clone())
    }
}

/// For all that is no request of messages: harmless.
pub fn beside(request: &Request) -> Chosen {
    let json = |body: &str| Answer::raw(200, "application/json", body);
    let path = request.path.split('?').next().unwrap_or_default();
    if path == "/v1/messages/count_tokens" {
        return Chosen::plain("count", json(r#"{"input_tokens":1000}"#));
    }
    if request.method == "HEAD" || path == "/" {
        return Chosen::plain("beside", Answer::raw(200, "application/json", ""));
    }
    if request.method == "POST" {
        return Chosen::plain("beside", json("{}"));
    }
    Chosen::plain(
        "beside",
        Answer::status(404, "not_found_error", "Not found"),
    )
}
