//! Who logs in on a connection, and how long those wait who may not.

use super::Conversation;
use crate::accept::smtp::session::Login;
use crate::wire::sasl::Credentials;

impl Conversation {
    pub(super) async fn check(&self, credentials: &Credentials) -> Login {
        let (guesses, user) = (&self.door.guesses, credentials.user.as_str());
        let login = if guesses.is_locked(self.source, user) {
            Login::Locked
        } else {
            match self.door.house.engines().by_password(user, &credentials.password) {
                Some(engine) => Login::As(engine),
                None if self.door.house.engines().by_name(user).is_some() => Login::Wrong,
                None => Login::Unknown,
            }
        };
        match &login {
            Login::As(engine) => {
                guesses.succeeded(self.source, user);
                tracing::debug!(source = %self.source, engine = %engine.name, "engine logged in");
            }
            Login::Unknown | Login::Wrong | Login::Locked => {
                if !matches!(login, Login::Locked) {
                    guesses.failed(self.source, user);
                }
                tokio::time::sleep(self.door.settings.limits.login_failure_delay).await;
            }
        }
        login
    }
}
