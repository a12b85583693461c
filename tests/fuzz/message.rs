//! Messages that are their own template, for people with awkward names: what comes out is one message with the headers
//! it should have, on lines that every server takes.

use crate::fuzz;
use crate::mutate::Mutator;
use mail_parser::MessageParser;
use std::time::SystemTime;
use tokenrelay::job::{Content, Data, SendNumber, Token};
use tokenrelay::person::{Person, PersonBuilder};
use tokenrelay::render::{Finished, Moment, RenderRequest, Renderer, Settings, Transfer};

const OWN: &str = "e_0123456789";
const LINE_OCTETS_MAX: usize = 998;
/// What the relay may add.
const ADDED: &[&str] = &[
    "from",
    "to",
    "date",
    "message-id",
    "x-send-number",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];
const DROPPED: &[&str] = &["bcc", "return-path", "dkim-signature"];

const SEEDS: &[&[u8]] = &[
    b"From: Shop <news@shop.example>\r\nTo: <e_0123456789@tokens.example>\r\nSubject: Hi {{person.first_name}}\r\n\r\nDear {{person.last_name}},\r\n.\r\n",
    b"From: n@shop.example\r\nTo: \"{{person.first_name}}\" <e_0123456789@tokens.example>, e_9999999999@tokens.example\r\nBcc: x@y.example\r\n\
      DKIM-Signature: v=1; b=x\r\nX-TokenRelay-Campaign: c\r\nReturn-Path: <x@y.example>\r\nSubject: =?UTF-8?Q?Hi_=7B=7Bperson=2Efirst=5Fname=7D=7D?=\r\n\
      MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"out er\"\r\n\r\n--out er\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n\
      --inner\r\nContent-Type: text/plain; charset=us-ascii; format=flowed\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
      Dear =7B=7Bperson=\r\n.last_name}} =3D\r\n--inner\r\nContent-Type: text/html; charset=windows-1255\r\nContent-Transfer-Encoding: base64\r\n\r\n\
      PHA+e3twZXJzb24uZmlyc3RfbmFtZX19PC9wPg==\r\n--inner--\r\n\r\n--out er\r\nContent-Type: application/octet-stream; name=x\r\n\
      Content-Disposition: attachment\r\nContent-Transfer-Encoding: base64\r\n\r\nAAECAwQ=\r\n--out er--\r\nepilogue\r\n",
    b"From: n@shop.example\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n<p title=\"{{person.first_name}}\">{{#if data.order}}{{data.order}}{{/if}}<a href=\"https://x.example/{{send.number}}\">x</a></p>",
    b"From: n@shop.example\r\nX-Long: a\r\n b\r\n\tc\r\nContent-Type: multipart/signed; boundary=s; micalg=sha-256\r\n\r\n--s\r\n\r\nx\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\ny\r\n--s--\r\n",
    b"From: n@shop.example\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\nSubject: inner\r\n\r\nx\r\n",
];
const WORDS: &[&[u8]] = &[
    b"{{person.first_name}}",
    b"{{person.last_name}}",
    b"{{data.order}}",
    b"{{send.number}}",
    b"{{#if person.last_name}}",
    b"{{else}}",
    b"{{/if}}",
    b"{{#each data.items}}{{this}}{{/each}}",
    b"\r\n",
    b"\r\n ",
    b"\r\n\r\n",
    b"\r\n--inner\r\n",
    b"\r\nSubject: ",
    b"\r\nTo: ",
    b"\r\nX-Odd: ",
    b"\r\nContent-Type: text/html; charset=utf-8",
    b"\r\nContent-Transfer-Encoding: base64",
    b"\r\nContent-Transfer-Encoding: quoted-printable",
    b"\r\nContent-Transfer-Encoding: 8bit",
    b"=?UTF-8?B?e3twZXJzb24uZmlyc3RfbmFtZX19?=",
    b"=?iso-2022-jp?B?GyRCJDMbKEI=?=",
    b"=0D=0A.=0D=0A",
    "שלום".as_bytes(),
    b"<e_0123456789@tokens.example>",
    b"(comment \\) \"x\")",
    b"<!--",
    b"<style>",
    b"<script>",
    b"<a href='",
];
/// Names that people do not have, and that a message has to survive.
const NAMES: &[&str] = &[
    "דנה",
    "a\r\nBcc: x@y.example\r\n\r\nz",
    "\n.\r\nMAIL FROM:<x@y.example>\r\n",
    "{{person.last_name}} {{send.number}}",
    "<script>\"'&`{{",
    "\u{202e}\u{2028}\u{85}\u{0}\u{b}",
    "=?UTF-8?Q?=0D=0A?=",
    "",
    "Dana",
];

#[test]
fn messages_as_templates() {
    let settings = Settings { token_domains: vec!["tokens.example".into()], ..Settings::default() };
    let renderer = Renderer::load(settings).expect("there is nothing to load");
    fuzz(SEEDS, WORDS, |raw, mutator| {
        let plan = match renderer.plan(&Content::Message(raw.to_vec().into()), None) {
            Ok(plan) => plan,
            Err(fault) => {
                assert!(!fault.detail.chars().any(char::is_control), "{:?}", fault.detail);
                assert!(!fault.detail.contains("defect of the relay"), "{}", fault.detail);
                return fault.detail.chars().take(24).collect();
            }
        };
        let transfer = *mutator.pick(&[Transfer::SevenBit, Transfer::EightBit]);
        let rendered = plan.render(&RenderRequest {
            person: &somebody(mutator),
            token: &Token::from_local(OWN).expect("a token"),
            data: &data(mutator),
            send: &SendNumber::from_bits([7; 16]),
            campaign: None,
            sender: Some("bounce@shop.example"),
            transfer,
            may_reveal: &|_| true,
            size_max: 1 << 20,
            now: &Moment::at(SystemTime::UNIX_EPOCH),
        });
        match rendered {
            Ok(finished) => check(raw, &finished, transfer),
            Err(fault) => fault.detail.chars().take(24).collect(),
        }
    });
}

fn somebody(mutator: &mut Mutator) -> Person {
    let (first, last) = (*mutator.pick(NAMES), *mutator.pick(NAMES));
    let long = last.repeat(1 + 40 * mutator.below(8));
    PersonBuilder::default()
        .field("email", "dana@example.test")
        .field("first_name", first)
        .field("last_name", &long)
        .build()
}

fn data(mutator: &mut Mutator) -> Data {
    let mut data = Data::new();
    data.insert("order".into(), (*mutator.pick(NAMES)).into());
    data.insert("items".into(), vec!["a", "b"].into());
    data
}

/// Everything that holds of what is sent on; and what sort of message it is.
fn check(raw: &[u8], finished: &Finished, transfer: Transfer) -> String {
    let message = &finished.message.to_octets();
    assert!(message.ends_with(b"\r\n"));
    let text = String::from_utf8_lossy(message);
    let came_so =
        |line: &[u8]| raw.split(|octet| *octet == b'\n').any(|came| without_cr(came) == without_cr(line));
    for line in message.split(|octet| *octet == b'\n') {
        // What is signed, or a message within the message, keeps its octets.
        assert!(line.len() <= LINE_OCTETS_MAX + 1 || came_so(line), "a line of {} octets", line.len());
    }
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "a stray CR, LF or NUL");
    assert!(finished.eight_bit != message.is_ascii());
    if transfer == Transfer::SevenBit && raw.is_ascii() {
        assert!(!finished.eight_bit, "nothing needs eight bits here");
    }
    let (came, gone) = (names(raw), names(message));
    for name in &gone {
        assert!(came.contains(name) || ADDED.contains(&name.as_str()), "a header {name} from nowhere");
        assert!(!DROPPED.contains(&name.as_str()) && !name.starts_with("x-tokenrelay-"), "{name} went out");
    }
    for name in ["from", "to", "subject", "message-id", "date", "content-type"] {
        let count = gone.iter().filter(|gone| *gone == name).count();
        assert!(count <= 1, "{count} headers {name}");
    }
    let parsed = MessageParser::default().parse(message.as_slice()).expect("a message has a header");
    let recipients = [parsed.to(), parsed.cc(), parsed.reply_to()].into_iter().flatten();
    for address in recipients.flat_map(|list| list.iter().filter_map(|one| one.address())) {
        let token = Token::from_address(address, &["tokens.example".into()]);
        assert!(token.is_err(), "a token went out: {address}");
    }
    let parts = parsed.parts.len();
    format!("{parts} {} {}", gone.len(), finished.eight_bit)
}

/// The last line may have come without its end, and goes with one.
fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Header fields of the message itself, in lower case, as a plain reading of RFC 5322 §2.2 finds them.
fn names(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let lines = header.split("\r\n").filter(|line| !line.starts_with([' ', '\t']) && !line.is_empty());
    lines.map(|line| line.split(':').next().unwrap_or_default().trim_end().to_ascii_lowercase()).collect()
}
