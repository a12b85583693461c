//! A finished message as its reader sees it: headers decoded, texts in the reader's own characters.

use mail_parser::MessageParser;

/// What a mail client shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub to_name: String,
    pub to_address: String,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
}

impl Reading {
    /// `None` when the bytes are no message.
    pub fn of(message: &[u8]) -> Option<Self> {
        let parsed = MessageParser::default().parse(message)?;
        let to = parsed.to().and_then(|to| to.first());
        let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let html = parsed.html_part(0).filter(|part| part.is_text_html());
        Some(Self {
            to_name: owned(to.and_then(|to| to.name())),
            to_address: owned(to.and_then(|to| to.address())),
            subject: owned(parsed.subject()),
            text: parsed.body_text(0).map(|text| text.into_owned()),
            html: html.and_then(|part| part.text_contents()).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_read_decoded() {
        let message = b"To: =?utf-8?B?15PXoNeU?= <dana@example.test>\r\nSubject: =?utf-8?Q?Caf=C3=A9?=\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=C3=A9t=C3=A9\r\n";
        let reading = Reading::of(message).unwrap();
        assert_eq!((reading.to_name.as_str(), reading.to_address.as_str()), ("דנה", "dana@example.test"));
        assert_eq!((reading.subject.as_str(), reading.text.as_deref()), ("Café", Some("été\r\n")));
        assert_eq!(reading.html, None);
    }
}
