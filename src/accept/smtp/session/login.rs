//! The session up to the point where the client has shown who it is: STARTTLS (RFC 3207) and AUTH (RFC 4954).

use super::{
    Act, Channel, Exchange, Login, LoginRefusal, Session, State, Turn, close, read_line, reply, step,
};
use crate::accept::smtp::reply::Reply;
use crate::engine::Engine;
use crate::wire::command::Mechanism;
use crate::wire::line::LineKind;
use crate::wire::sasl::{self, BadResponse, Credentials};
use std::sync::Arc;

impl Session {
    pub(super) fn on_starttls(&mut self, state: State, is_pipelined: bool) -> Turn {
        match self.channel {
            Channel::Encrypted => self.protest(state, reply(503, (5, 5, 1), "TLS is already active")),
            Channel::Local => self.protest(state, reply(502, (5, 5, 1), "TLS is not set up on this door")),
            // Somebody on the way may have written what follows; nothing of it is to reach the encrypted session.
            Channel::Clear if is_pipelined => {
                close(554, (5, 5, 1), "nothing may follow STARTTLS before its answer; closing the connection")
            }
            Channel::Clear => {
                step(State::Encrypting, Some(reply(220, (2, 0, 0), "ready for TLS")), Act::Encrypt)
            }
        }
    }

    pub(super) fn on_auth(&mut self, state: State, mechanism: Mechanism, initial: Option<&str>) -> Turn {
        if self.channel == Channel::Clear {
            let answer = reply(538, (5, 7, 11), "encryption is required; use STARTTLS first");
            return self.turn_down(state, answer, LoginRefusal::Unencrypted);
        }
        match state {
            State::Named => {}
            State::Fresh => return self.protest(state, reply(503, (5, 5, 1), "say EHLO first")),
            state => return self.protest(state, reply(503, (5, 5, 1), "already authenticated")),
        }
        match (mechanism, initial) {
            (Mechanism::Plain, Some(response)) => self.on_sasl(Exchange::Plain, response.as_bytes()),
            (Mechanism::Plain, None) => prompt(Exchange::Plain, ""),
            (Mechanism::Login, Some(response)) => self.on_sasl(Exchange::LoginUser, response.as_bytes()),
            (Mechanism::Login, None) => prompt(Exchange::LoginUser, sasl::LOGIN_USERNAME_PROMPT),
            (Mechanism::External, Some(response)) => self.on_sasl(Exchange::External, response.as_bytes()),
            (Mechanism::External, None) => prompt(Exchange::External, ""),
            (Mechanism::Other, _) => {
                let answer = reply(504, (5, 5, 4), "use AUTH PLAIN or AUTH LOGIN");
                self.turn_down(State::Named, answer, LoginRefusal::Mechanism)
            }
        }
    }

    pub(super) fn on_sasl(&mut self, exchange: Exchange, response: &[u8]) -> Turn {
        let credentials = match exchange {
            Exchange::External => match self.external(response) {
                Ok(engine) => return self.on_password_checked(Login::As(engine)),
                Err(BadResponse::AuthorizationIdentity) => {
                    return self.turn_down(State::Named, not_accepted(), LoginRefusal::External);
                }
                Err(fault) => Err(fault),
            },
            Exchange::Plain => sasl::plain(response),
            Exchange::LoginUser => match sasl::login_user(response) {
                Ok(user) => return prompt(Exchange::LoginPassword(user), sasl::LOGIN_PASSWORD_PROMPT),
                Err(fault) => Err(fault),
            },
            Exchange::LoginPassword(user) => {
                sasl::login_password(response).map(|password| Credentials { user, password })
            }
        };
        match credentials {
            Ok(credentials) => step(State::CheckingPassword, None, Act::CheckPassword(credentials)),
            Err(fault) => {
                let answer = match fault {
                    BadResponse::Cancelled => reply(501, (5, 7, 0), "authentication cancelled"),
                    BadResponse::NotBase64 => reply(501, (5, 5, 2), "the response is not base64"),
                    BadResponse::Malformed | BadResponse::AuthorizationIdentity => not_accepted(),
                };
                self.turn_down(State::Named, answer, LoginRefusal::Response(fault))
            }
        }
    }

    /// Whoever the channel shows, and nobody else.
    fn external(&self, response: &[u8]) -> Result<Arc<Engine>, BadResponse> {
        let wanted = sasl::external(response)?;
        let engine = self.present().ok_or(BadResponse::AuthorizationIdentity)?;
        if wanted.is_empty() || wanted == *engine.name {
            return Ok(engine);
        }
        Err(BadResponse::AuthorizationIdentity)
    }

    pub(super) fn on_password_checked(&mut self, login: Login) -> Turn {
        match login {
            Login::As(engine) => {
                read_line(State::Ready(engine), Some(reply(235, (2, 7, 0), "authentication succeeded")))
            }
            Login::Unknown => self.turn_down(State::Named, not_accepted(), LoginRefusal::UnknownEngine),
            Login::Wrong => self.turn_down(State::Named, not_accepted(), LoginRefusal::WrongSecret),
            Login::Locked => {
                let text = "too many failed logins from here; try again later";
                self.turn_down(State::Named, reply(454, (4, 7, 0), text), LoginRefusal::Locked)
            }
        }
    }
}

/// One answer for a wrong name, a wrong password and everything in between.
fn not_accepted() -> Reply {
    reply(535, (5, 7, 8), "the credentials are not accepted")
}

fn prompt(exchange: Exchange, text: &'static str) -> Turn {
    step(State::Sasl(exchange), Some(Reply::bare(334, text)), Act::ReadLine(LineKind::Sasl))
}
