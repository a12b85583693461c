//! AUTH with the first mechanism that the target takes, not only offers (RFC 4954). Some offer what they then do not
//! have: that costs a question, never a second try of a password that was judged.

use super::connect::{command, last_text};
use super::ehlo::Capabilities;
use super::settings::{TargetAuth, TargetSettings};
use super::stream::Stream;
use super::talk::Talk;
use super::trouble::{AuthRefusal, Trouble};
use crate::fault::{Enhanced, ReplyCode};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use zeroize::Zeroizing;

/// Ways to log in, in the order in which they are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// RFC 4616, the response in the same line (RFC 4954 §4).
    Plain,
    Login,
    /// PLAIN for those who do not understand a response in the same line.
    PlainWhenAsked,
}

impl Way {
    const ALL: [Self; 3] = [Self::Plain, Self::Login, Self::PlainWhenAsked];

    fn is_offered(self, offered: Capabilities) -> bool {
        match self {
            Self::Plain | Self::PlainWhenAsked => offered.auth_plain,
            Self::Login => offered.auth_login,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Plain | Self::PlainWhenAsked => "AUTH PLAIN",
            Self::Login => "AUTH LOGIN",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Which ways to log in a target was seen not to have, so that no later session asks again.
#[derive(Debug, Default)]
pub(super) struct Unavailable(AtomicU8);

impl Unavailable {
    /// What is left of the target's offer; all of it when nothing would be: it may have been mended.
    fn without(&self, offered: Capabilities) -> impl Iterator<Item = Way> {
        let known = self.0.load(Relaxed);
        let is_left = move |way: &Way| way.is_offered(offered) && known & way.bit() == 0;
        let skips = Way::ALL.iter().any(is_left);
        Way::ALL.into_iter().filter(move |way| if skips { is_left(way) } else { way.is_offered(offered) })
    }

    fn note(&self, way: Way) {
        self.0.fetch_or(way.bit(), Relaxed);
    }
}

/// AUTH, if configured. The stream is TLS or loopback by now.
pub(super) async fn authenticate(
    settings: &TargetSettings,
    talk: &mut Talk<Stream>,
    offered: Capabilities,
    unavailable: &Unavailable,
) -> Result<(), Trouble> {
    let Some(auth) = &settings.auth else { return Ok(()) };
    let mut refused = None;
    for way in unavailable.without(offered) {
        let code = match way {
            Way::Plain => command(settings, talk, plain_at_once(auth).as_bytes()).await?,
            Way::PlainWhenAsked => answer_each(settings, talk, "AUTH PLAIN\r\n", &[&plain(auth)]).await?,
            Way::Login => {
                let answers = [auth.user.as_bytes(), auth.password.reveal().as_bytes()];
                answer_each(settings, talk, "AUTH LOGIN\r\n", &answers).await?
            }
        };
        if code.basic == 235 {
            return Ok(());
        }
        refused = Some(AuthRefusal { mechanism: way.name(), code, text: last_text(talk, code) });
        if !says_unavailable(code) {
            break;
        }
        unavailable.note(way);
    }
    Err(refused.map_or(Trouble::AuthNotOffered, Trouble::AuthRefused))
}

/// Whether a reply is about the mechanism, or the way it was asked for, and the password was not looked at. Whatever
/// else it is: to show the password again, another way, could lock the account.
fn says_unavailable(code: ReplyCode) -> bool {
    match (code.basic, code.enhanced) {
        // Of RFC 4954 §6: credentials that are wrong, whatever code stands before it.
        (_, Some(Enhanced(_, 7, 8))) => false,
        (500..=504, _) => true,
        // Also said of accounts that have to do something first, with other codes.
        (534, None | Some(Enhanced(_, 7, 9))) => true,
        _ => false,
    }
}

async fn answer_each(
    settings: &TargetSettings,
    talk: &mut Talk<Stream>,
    begin: &str,
    answers: &[&[u8]],
) -> Result<ReplyCode, Trouble> {
    let mut code = command(settings, talk, begin.as_bytes()).await?;
    for answer in answers {
        if code.basic != 334 {
            return Ok(code);
        }
        let encoded = Zeroizing::new(data_encoding::BASE64.encode(answer));
        let line = Zeroizing::new([&encoded, "\r\n"].concat());
        code = command(settings, talk, line.as_bytes()).await?;
    }
    Ok(code)
}

fn plain(auth: &TargetAuth) -> Zeroizing<Vec<u8>> {
    Zeroizing::new([b"\0", auth.user.as_bytes(), b"\0", auth.password.reveal().as_bytes()].concat())
}

fn plain_at_once(auth: &TargetAuth) -> Zeroizing<String> {
    let encoded = Zeroizing::new(data_encoding::BASE64.encode(&plain(auth)));
    Zeroizing::new(["AUTH PLAIN ", &encoded, "\r\n"].concat())
}
