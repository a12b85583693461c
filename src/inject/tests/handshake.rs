//! What a target says before the first message, and what the relay makes of it: which login is tried, and whether cause
//! and fix are those of the reply.

use super::*;
use crate::tls::{Pin, Trust};
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// A reply for each line that begins so; 250 to any other.
type Replies = &'static [(&'static str, &'static str)];

const GREETING: &str = "220 mx.test ESMTP\r\n";

/// A target in clear on loopback, with all it was told.
struct Peer {
    port: u16,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    async fn start(replies: Replies) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, replies, all.clone()));
            }
        });
        Self { port, heard }
    }

    fn heard(&self, verb: &str) -> Vec<String> {
        self.heard.lock().unwrap().iter().filter(|line| line.starts_with(verb)).cloned().collect()
    }

    fn settings(&self) -> TargetSettings {
        let mut target = TargetSettings::new("mta1", "127.0.0.1", self.port);
        target.tls = TlsMode::None;
        target.auth =
            Some(TargetAuth { user: String::from("relay"), password: String::from("s3cret").into() });
        target
    }
}

async fn converse(stream: TcpStream, replies: Replies, heard: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    stream.write_all(GREETING.as_bytes()).await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|octets| octets > 0) {
        let told = std::mem::take(&mut line).trim_end().to_owned();
        let reply = replies.iter().find(|(begin, _)| told.starts_with(begin));
        heard.lock().unwrap().push(told);
        stream.write_all(reply.map_or("250 2.0.0 ok", |(_, reply)| reply).as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
    }
}

const OFFER: (&str, &str) = ("EHLO", "250-mx.test\r\n250 AUTH LOGIN PLAIN");
const USER: &str = "cmVsYXk=";
const PASSWORD: &str = "czNjcmV0";

/// The failure of the last step; `None`: all went well.
async fn failure(settings: &TargetSettings) -> Option<ProbeFailure> {
    probe(settings, &ProbeEnvelope::default()).await.pop().unwrap().result.err()
}

#[tokio::test]
async fn a8_login_is_tried_where_plain_is_offered_and_not_there() {
    const REFUSALS: [Replies; 5] = [
        &[
            OFFER,
            ("AUTH PLAIN", "504 5.5.4 mechanism not supported"),
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (USER, "334 UGFzc3dvcmQ6"),
            (PASSWORD, "235 ok"),
        ],
        &[
            OFFER,
            ("AUTH PLAIN", "501 syntax error"),
            ("AUTH LOGIN", "334 "),
            (USER, "334 "),
            (PASSWORD, "235 ok"),
        ],
        &[
            OFFER,
            ("AUTH PLAIN", "534 5.7.9 too weak"),
            ("AUTH LOGIN", "334 "),
            (USER, "334 "),
            (PASSWORD, "235 ok"),
        ],
        &[
            OFFER,
            ("AUTH PLAIN", "503 AUTH command used when not advertised"),
            ("AUTH LOGIN", "334 "),
            (USER, "334 "),
            (PASSWORD, "235 ok"),
        ],
        // PLAIN alone, and only without a response in the same line.
        &[
            ("EHLO", "250-mx.test\r\n250 AUTH PLAIN"),
            ("AUTH PLAIN ", "501 no initial response here"),
            ("AUTH PLAIN", "334 "),
            ("AHJlbGF5AHMzY3JldA==", "235 ok"),
        ],
    ];
    for replies in REFUSALS {
        let peer = Peer::start(replies).await;
        assert!(failure(&peer.settings()).await.is_none(), "{replies:?} {:?}", peer.heard(""));
    }
}

#[tokio::test]
async fn a8_the_target_is_asked_once_for_what_it_does_not_have() {
    const REPLIES: Replies = &[
        OFFER,
        ("AUTH PLAIN", "504 no"),
        ("AUTH LOGIN", "334 "),
        (USER, "334 "),
        (PASSWORD, "235 ok"),
        ("RCPT", "550 5.1.1 no such user"),
    ];
    let peer = Peer::start(REPLIES).await;
    let mut settings = peer.settings();
    settings.messages_per_connection_max = 1;
    let injector = Injector::start(vec![settings]);
    for number in 0..3 {
        let handle = injector.choose(None).unwrap();
        injector.deliver(&handle, delivery(&format!("{number}\r\n"))).await.unwrap_err();
    }
    assert_eq!((peer.heard("AUTH PLAIN").len(), peer.heard("AUTH LOGIN").len()), (1, 3));
}

#[tokio::test]
async fn a8_a_password_that_was_judged_is_shown_once() {
    const JUDGED: [Replies; 5] = [
        &[OFFER, ("AUTH", "535 5.7.8 authentication credentials invalid")],
        &[OFFER, ("AUTH", "535 authentication failed")],
        &[OFFER, ("AUTH", "501 5.7.8 bad credentials")],
        &[OFFER, ("AUTH", "454 4.7.0 temporary authentication failure")],
        &[OFFER, ("AUTH", "534 5.7.14 log in with your browser first")],
    ];
    for replies in JUDGED {
        let peer = Peer::start(replies).await;
        assert!(failure(&peer.settings()).await.is_some());
        assert_eq!(peer.heard("AUTH").len(), 1, "{replies:?}");
    }
}

#[tokio::test]
async fn a8_a_text_blames_what_the_reply_blames() {
    const BLAMES: [(Replies, &str); 7] = [
        (&[OFFER, ("AUTH", "454 4.7.0 temporary failure")], "not judged"),
        (&[OFFER, ("AUTH", "421 4.3.0 too many")], "not judged"),
        (&[OFFER, ("AUTH", "535 5.7.8 wrong")], "correct auth of this target: user = \"relay\""),
        (
            &[OFFER, ("AUTH", "535 5.7.139 basic authentication is disabled")],
            "does the target let relay send by AUTH?",
        ),
        (&[OFFER, ("AUTH", "538 5.7.11 encryption required")], "set tls = \"starttls\""),
        (&[OFFER, ("AUTH", "530 5.7.0 must issue a STARTTLS command first")], "set tls = \"starttls\""),
        (&[OFFER, ("AUTH", "504 5.5.4 unrecognized")], "it offers what it does not have"),
    ];
    for (replies, wanted) in BLAMES {
        let failure = failure(&Peer::start(replies).await.settings()).await.unwrap();
        assert!(failure.fix.contains(wanted), "{replies:?}: {failure:?}");
        let blames_password = failure.fix.contains("correct");
        assert_eq!(blames_password, replies[1].1.starts_with("535"), "{failure:?}");
        assert!(failure.cause.contains(&replies[1].1[4..]), "the target's own words: {failure:?}");
    }
}

struct SelfSigned {
    port: u16,
    dir: tempfile::TempDir,
    pin: Pin,
    _sink: SinkHandle,
}

/// A server with a certificate that signed itself, which is an authority or is none.
async fn self_signed(is_authority: bool) -> SelfSigned {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![String::from("127.0.0.1")]).unwrap();
    if is_authority {
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    }
    let certificate = params.self_signed(&key).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(crate::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let tls = SinkTls::StartTls(Arc::new(config));
    let (_sink, port) = sink(SinkSettings { tls, ..SinkSettings::default() }).await;
    SelfSigned { port, dir, pin: Pin::of(certificate.der()).unwrap(), _sink }
}

#[tokio::test]
async fn a9_a_certificate_that_signed_itself_is_named_with_the_pin_to_write() {
    for is_authority in [true, false] {
        let SelfSigned { port, dir, pin, _sink } = self_signed(is_authority).await;
        let elsewhere = self_signed(is_authority).await;
        let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
        let with = |trust| Some(ClientTls::load(trust).unwrap());
        let line = format!("pin = [\"{pin}\"]");
        // An authority's own certificate is never a server's; one that is none would do as `ca`.
        let own = dir.path().join("ca.pem");
        let ca = if is_authority { own } else { elsewhere.dir.path().join("ca.pem") };
        target.client_tls = with(Trust::CaFile(ca));
        let failure = failure(&target).await.unwrap();
        assert!(failure.fix.contains(&line), "{failure:?}");
        assert!(failure.cause.contains("signed itself"), "{failure:?}");
        target.client_tls = with(Trust::Pins(vec![elsewhere.pin]));
        let failure = super::handshake::failure(&target).await.unwrap();
        assert!(failure.fix.contains(&line), "{failure:?}");
        target.client_tls = with(Trust::Pins(vec![pin]));
        assert!(super::handshake::failure(&target).await.is_none(), "what the fix says mends it");
    }
}

/// A port that speaks TLS at once and waits for the client, or gives up on it in its own way.
async fn tls_port(last_words: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.write_all(last_words).await;
                if last_words.is_empty() {
                    let _ = stream.read(&mut [0; 1]).await;
                }
            });
        }
    });
    port
}

#[tokio::test(start_paused = true)]
async fn a9_starttls_to_a_port_that_speaks_tls_at_once_is_said_with_the_line_to_change() {
    let ca = DevAuthority::new("test authority").unwrap();
    // A handshake timeout's alert, and one whose number is a line end in SMTP.
    for last_words in [b"".as_slice(), b"\x15\x03\x01\x00\x02\x02\x28", b"\x15\x03\x03\x00\x02\x02\x0a"] {
        let mut target = TargetSettings::new("mta1", "127.0.0.1", tls_port(last_words).await);
        target.client_tls = Some(trusting(&ca));
        target.deadlines.greeting = Duration::from_secs(5);
        let failure = failure(&target).await.unwrap();
        assert!(failure.fix.contains("tls = \"implicit\""), "{failure:?}");
    }
}

#[tokio::test]
async fn a9_a_silent_port_is_asked_whether_it_speaks_tls() {
    let ca = DevAuthority::new("test authority").unwrap();
    let tls = SinkTls::Implicit(ca.server(&["127.0.0.1"]).unwrap());
    let (_sink, port) = sink(SinkSettings { tls, ..SinkSettings::default() }).await;
    let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
    target.client_tls = Some(trusting(&ca));
    target.deadlines.greeting = Duration::from_millis(50);
    let failure = failure(&target).await.unwrap();
    assert!(matches!(failure.trouble, Trouble::SpeaksTls), "{failure:?}");
    assert_eq!(failure.fix, "set tls = \"implicit\" for this target");
}

#[tokio::test]
async fn a9_implicit_tls_to_a_port_that_greets_is_said_with_the_line_to_change() {
    let ca = DevAuthority::new("test authority").unwrap();
    for (greeting, wanted) in [
        (b"220 mx.test ESMTP\r\n".as_slice(), "tls = \"starttls\""),
        (b"554 5.5.0 you talk first\r\n", "tls = \"starttls\""),
    ] {
        let mut target = TargetSettings::new("mta1", "127.0.0.1", tls_port(greeting).await);
        target.tls = TlsMode::Implicit;
        target.client_tls = Some(trusting(&ca));
        let failure = failure(&target).await.unwrap();
        assert!(failure.fix.contains(wanted), "{failure:?}");
    }
}

/// Step and fix of the failure, or what was noted of the recipient.
async fn envelope_of(replies: Replies, auth: bool) -> Result<String, (&'static str, ProbeFailure)> {
    let peer = Peer::start(replies).await;
    let mut settings = peer.settings();
    settings.auth = settings.auth.filter(|_| auth);
    let senders = vec![String::from("news@brand.example"), String::from("shop@brand.example")];
    let envelope = ProbeEnvelope { senders, ..ProbeEnvelope::default() };
    let last = probe(&settings, &envelope).await.pop().unwrap();
    assert!(peer.heard("DATA").is_empty() && peer.heard("BDAT").is_empty(), "no message is sent");
    last.result.map_err(|failure| (last.name, failure))
}

#[tokio::test]
async fn a3_a_policy_that_no_message_would_pass_fails_the_check_with_its_fix() {
    const PLAIN: (&str, &str) = ("EHLO", "250-mx.test\r\n250 AUTH PLAIN");
    const AUTH: (&str, &str) = ("AUTH", "235 2.7.0 ok");
    const POLICIES: [(Replies, bool, &str, &str); 8] = [
        (&[PLAIN, ("MAIL", "530 5.7.0 Authentication required")], false, "mail", "set auth"),
        (&[PLAIN, ("MAIL", "530 5.7.0 Must issue a STARTTLS command first")], false, "mail", "set tls"),
        (&[PLAIN, ("RCPT", "554 5.7.1 <x>: Relay access denied")], false, "rcpt", "set auth"),
        (&[PLAIN, ("RCPT", "550 relay not permitted")], false, "rcpt", "relay_from_hosts"),
        (&[PLAIN, ("RCPT", "454 4.7.1 <x>: Relay access denied")], false, "rcpt", "mynetworks"),
        (&[PLAIN, AUTH, ("RCPT", "554 5.7.1 relaying denied")], true, "rcpt", "let relay relay"),
        (
            &[PLAIN, AUTH, ("RCPT", "553 5.7.1 <x>: Sender address rejected: not owned by user relay")],
            true,
            "rcpt",
            "send as <news@brand.example>",
        ),
        (
            &[
                PLAIN,
                AUTH,
                ("MAIL FROM:<shop", "550 5.7.60 client does not have permissions to send as this sender"),
            ],
            true,
            "mail",
            "send as <shop@brand.example>",
        ),
    ];
    for (replies, auth, step, fix) in POLICIES {
        let (name, failure) = envelope_of(replies, auth).await.unwrap_err();
        assert!(name == step && failure.fix.contains(fix), "{replies:?}: {name} {failure:?}");
    }
}

#[tokio::test]
async fn a3_a_refusal_of_the_checks_own_recipient_is_a_note() {
    for said in [
        "550 5.1.1 user unknown",
        "550 5.1.2 domain has a null MX",
        "556 5.1.10 recipient address has null MX",
        "450 4.2.0 greylisted, try again",
        "451 4.3.0 try again later",
    ] {
        let reply = Box::leak(said.to_owned().into_boxed_str());
        let replies: Replies = Box::leak(Box::new([("RCPT", &*reply)]));
        let note = envelope_of(replies, false).await.unwrap();
        assert!(note.starts_with("note: ") && note.contains(&said[..3]), "{said}: {note}");
    }
    assert_eq!(envelope_of(&[], false).await.unwrap(), "relays to other domains");
}
