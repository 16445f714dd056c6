//! What a budget is about.

/// Whose use is added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// One task, over all its attempts.
    Task {
        /// Its id.
        id: String,
    },
    /// All tasks of one directory, since ever.
    Session {
        /// The directory.
        project: String,
    },
    /// All runs on one account that end today.
    Account {
        /// The agent.
        agent: String,
        /// The account.
        name: String,
    },
    /// All runs that end today.
    Day,
}

impl Scope {
    /// Whether it begins anew with each day (UTC).
    #[must_use]
    pub const fn is_daily(&self) -> bool {
        match self {
            Self::Account { .. } | Self::Day => true,
            Self::Task { .. } | Self::Session { .. } => false,
        }
    }

    /// One word for it, in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Task { .. } => "task",
            Self::Session { .. } => "session",
            Self::Account { .. } => "account",
            Self::Day => "day",
        }
    }

    /// What it is of, without the word; empty for the day.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Task { id } => id.clone(),
            Self::Session { project } => project.clone(),
            Self::Account { agent, name } => format!("{agent}/{name}"),
            Self::Day => String::new(),
        }
    }

    /// What a person can do when it is used up.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Task { id } => {
                format!("`taskctl task edit {id} --budget …`, then `taskctl task resume {id}`")
            }
            Self::Session { .. } => "raise budget_sessions or budget_session".to_owned(),
            Self::Account { .. } => {
                "it begins anew at 00:00 UTC; or raise budget_accounts or budget_account_day"
                    .to_owned()
            }
            Self::Day => "it begins anew at 00:00 UTC; or raise budget_day".to_owned(),
        }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Task { id } => write!(f, "the budget of {id}"),
            Self::Session { project } => write!(f, "the budget of the session {project}"),
            Self::Account { agent, name } => {
                write!(f, "today's budget of the account {name} of {agent}")
            }
            Self::Day => f.write_str("today's budget"),
        }
    }
}
