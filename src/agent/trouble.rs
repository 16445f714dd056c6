//! What an error's text says about the network between an agent and its server.
//!
//! Agents are written in languages whose run-times name these errors alike (`ECONNREFUSED`, `ENOTFOUND`): one table serves
//! them all. It is asked only about the text of an error that the agent's program itself has reported.

use super::text::holds;
use crate::task::Trouble;

/// Words, in lower case, and what they mean. The first match counts: codes first, wordings after them.
const WORDS: [(&str, Trouble); 46] = [
    ("err_proxy", Trouble::Proxy),
    ("through your proxy", Trouble::Proxy),
    ("proxy authentication", Trouble::Proxy),
    ("407 proxy", Trouble::Proxy),
    ("econnrefused", Trouble::Refused),
    ("connectionrefused", Trouble::Refused),
    ("enotfound", Trouble::Dns),
    ("eai_again", Trouble::Dns),
    ("failedtoopensocket", Trouble::Dns),
    ("dns error", Trouble::Dns),
    ("failed to lookup address", Trouble::Dns),
    ("name resolution", Trouble::Dns),
    ("name or service not known", Trouble::Dns),
    ("econnreset", Trouble::Reset),
    ("econnaborted", Trouble::Reset),
    ("epipe", Trouble::Reset),
    ("connectionclosed", Trouble::Reset),
    ("err_socket_closed", Trouble::Reset),
    ("und_err_socket", Trouble::Reset),
    ("enetunreach", Trouble::Other),
    ("enetdown", Trouble::Other),
    ("ehostunreach", Trouble::Other),
    ("ehostdown", Trouble::Other),
    ("no internet route", Trouble::Other),
    ("etimedout", Trouble::TimedOut),
    ("und_err_connect_timeout", Trouble::TimedOut),
    ("und_err_headers_timeout", Trouble::TimedOut),
    ("err_tls", Trouble::Tls),
    ("err_ssl", Trouble::Tls),
    ("ssl certificate", Trouble::Tls),
    ("ssl error", Trouble::Tls),
    ("self-signed certificate", Trouble::Tls),
    ("self_signed_cert", Trouble::Tls),
    ("certificate verify failed", Trouble::Tls),
    ("unable_to_verify_leaf", Trouble::Tls),
    ("invalid peer certificate", Trouble::Tls),
    ("idle timeout waiting", Trouble::Silent),
    ("stream idle timeout", Trouble::Silent),
    ("stream disconnected", Trouble::Reset),
    ("connection refused", Trouble::Refused),
    ("connection reset", Trouble::Reset),
    ("request timed out", Trouble::TimedOut),
    ("operation timed out", Trouble::TimedOut),
    ("connection to the api was lost", Trouble::Reset),
    ("connection lost", Trouble::Reset),
    ("unable to connect", Trouble::Other),
];

/// What is wrong with the network, if the text says that something is.
pub(super) fn in_text(text: &str) -> Option<Trouble> {
    WORDS
        .iter()
        .find(|(words, _)| holds(text, words))
        .map(|(_, trouble)| *trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_real_programs() {
        for (text, expected) in [
            (
                "API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)",
                Some(Trouble::Refused),
            ),
            (
                "API Error: Can't reach the API server — check your internet or DNS (ENOTFOUND)",
                Some(Trouble::Dns),
            ),
            (
                "API Error: Couldn't connect through your proxy (ERR_PROXY_TUNNEL) — the proxy refused the tunnel",
                Some(Trouble::Proxy),
            ),
            (
                "API Error: No internet route — check your connection or VPN (ENETUNREACH)",
                Some(Trouble::Other),
            ),
            (
                "API Error: Connection to the API was lost (ECONNRESET). This is usually temporary — try again.",
                Some(Trouble::Reset),
            ),
            (
                "Unable to connect to API: SSL certificate has expired",
                Some(Trouble::Tls),
            ),
            (
                "Unable to connect to API: Self-signed certificate detected",
                Some(Trouble::Tls),
            ),
            (
                "Request timed out. If the API is slow to answer, set API_TIMEOUT_MS above 5000.",
                Some(Trouble::TimedOut),
            ),
            (
                "stream disconnected before completion: idle timeout waiting for SSE",
                Some(Trouble::Silent),
            ),
            ("Unable to connect to API (Weird)", Some(Trouble::Other)),
            ("API Error: 500 Internal server error", None),
            ("", None),
        ] {
            assert_eq!(in_text(text), expected, "{text}");
        }
    }

    #[test]
    fn words_are_lower_case() {
        for (words, _) in WORDS {
            assert_eq!(words, words.to_ascii_lowercase());
        }
    }
}
