//! Runs one pure part of the relay a given number of times, for an instruction counter around it:
//! `count PART TIMES`. Without arguments it names the parts, one a line.

use serde_json::json;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;
use tokenrelay::accept::jobs::JobReader;
use tokenrelay::engine::{Credential, Engine};
use tokenrelay::job::{Content, Data, InlineContent, SendNumber, Token};
use tokenrelay::message::Message;
use tokenrelay::person::{Person, PersonBuilder};
use tokenrelay::personal::{Wiped, wipe};
use tokenrelay::render::{Moment, Plan, RenderRequest, Renderer, Transfer};
use tokenrelay::vault::{Draft, Reader, RootKey, Vault};
use tokenrelay::wire::data::DataFramer;
use tokenrelay::wire::dot;
use tokenrelay::wire::ndjson::Framer;
use tokenrelay::wire::reply::{Reply, ReplyFramer};

/// Operations that are not counted; a multiple of a batch.
const WARMING: usize = 256;

/// A part prepares what it needs and gives what is counted.
type Part = (&'static str, fn() -> Box<dyn FnMut()>);

const PARTS: &[Part] = &[
    ("render_8bit", || render(Transfer::EightBit)),
    ("render_quoted_printable", || render(Transfer::SevenBit)),
    ("plan_lookup_and_dot_check", plan_lookup),
    ("job_json", job_json),
    ("reply_group", reply_group),
    ("dot_search_in_one_piece", dot_search),
    ("data_framing", data_framing),
    ("wipe_10_kib", wipe_10_kib),
    ("record_of_a_batch_of_256", || record(256)),
    ("record_alone", || record(1)),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next() else {
        let names: String = PARTS.iter().map(|(name, _)| format!("{name}\n")).collect();
        return std::io::stdout().write_all(names.as_bytes()).expect("somebody reads");
    };
    let times: usize = arguments.next().and_then(|times| times.parse().ok()).expect("how many times");
    let (_, prepare) = PARTS.iter().find(|(part, _)| *part == name).expect("one of the parts");
    let mut part = prepare();
    for _ in 0..WARMING {
        part();
    }
    operate(&mut *part, times);
}

/// The counter looks at this function only: preparing takes hundreds of millions of instructions (aws-lc gathers
/// entropy from the clock's jitter), and never the same number.
#[inline(never)]
fn operate(part: &mut dyn FnMut(), times: usize) {
    for _ in 0..times {
        part();
    }
}

fn person() -> Person {
    let fields = [
        ("email", "dana.levi@post.example"),
        ("phone", "+4915112345678"),
        ("first_name", "Dana"),
        ("last_name", "Levi"),
        ("city", "Springfield"),
        ("street", "17 Long Street"),
        ("birthday", "1980-01-02"),
        ("locale", "en"),
        ("customer_id", "c17"),
    ];
    let mut builder = PersonBuilder::default();
    for (name, value) in fields {
        builder.field(name, value);
    }
    builder.build()
}

/// 10 KiB finished, like the message of `tests/bench/run`.
fn content() -> Content {
    let names = ["first_name", "last_name", "city", "street"];
    let values: String = names.iter().map(|name| format!("<p>{name}: {{{{person.{name}}}}}</p>\n")).collect();
    let rows: String = (0..103)
        .map(|n| format!("<p class=\"row\">Line {n} of what everybody is told, the same for all.</p>\n"))
        .collect();
    let lines: String = (0..60).map(|n| format!("Line {n}, the same for all.\n")).collect();
    Content::Inline(Arc::new(InlineContent {
        from: "Shop <news@brand.example>".into(),
        subject: "{{person.first_name}}, order {{data.order}} is on its way".into(),
        text: Some(format!(
            "Hello {{{{person.first_name}}}} {{{{person.last_name}}}},\n{lines}Order {{{{data.order}}}}\n"
        )),
        html: Some(format!(
            "<html><body><h1>Hello {{{{person.first_name}}}}</h1>\n{values}{rows}<p>{{{{data.order}}}}</p></body></html>\n"
        )),
        reply_to: None,
    }))
}

fn renderer() -> Renderer {
    Renderer::load(tokenrelay::render::Settings::default()).expect("nothing is loaded")
}

/// Renders and drops one message after another.
struct Rendering {
    plan: Arc<Plan>,
    person: Person,
    token: Token,
    data: Data,
    send: SendNumber,
    now: Moment,
}

impl Rendering {
    fn new() -> Self {
        Self {
            plan: renderer().plan(&content(), None).expect("the content is good"),
            person: person(),
            token: Token::from_local("e_684384628").expect("a token"),
            data: Data::from_iter([(String::from("order"), json!("A-17"))]),
            send: SendNumber::from_bits([7; 16]),
            now: Moment::at(SystemTime::UNIX_EPOCH),
        }
    }

    fn message(&self, transfer: Transfer) -> Message {
        let finished = self.plan.render(&RenderRequest {
            person: &self.person,
            token: &self.token,
            data: &self.data,
            send: &self.send,
            campaign: Some("bench"),
            sender: None,
            transfer,
            may_reveal: &|_| true,
            size_max: 1 << 20,
            now: &self.now,
        });
        finished.expect("nothing is missing").message
    }
}

fn render(transfer: Transfer) -> Box<dyn FnMut()> {
    let rendering = Rendering::new();
    assert!((9_000..12_000).contains(&rendering.message(transfer).len()), "10 KiB, nearly");
    Box::new(move || {
        black_box(rendering.message(transfer));
    })
}

/// What stands around rendering: the plan of a content that was compiled before, and the look at the edges.
fn plan_lookup() -> Box<dyn FnMut()> {
    let (renderer, content) = (renderer(), content());
    renderer.plan(&content, None).expect("the content is good");
    let message = Rendering::new().message(Transfer::EightBit);
    Box::new(move || {
        black_box(renderer.plan(&content, None).is_ok());
        black_box((message.has_dot_line(), message.is_ascii(), message.ends_with_line_end()));
    })
}

fn job_json() -> Box<dyn FnMut()> {
    let engine = Engine {
        name: "campaigns".into(),
        credential: Credential::of(b"secret"),
        templates: vec!["*".into()],
        fields: vec!["*".into()],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    };
    let mut reader = JobReader::new(Arc::new(engine), vec![String::from("tokens.example")].into());
    let line = br#"{"job_id": "b-20000-17", "to": "e_q7d2k3n5v8x1c4b6@tokens.example", "template": "bench", "data": {"order": "A-17"}, "campaign": "bench"}
"#;
    let mut framer = Framer::new(64 * 1024);
    let send = SendNumber::from_bits([7; 16]);
    Box::new(move || {
        framer.push(bytes::Bytes::from_static(line));
        while let Some(frame) = framer.next_frame() {
            let tokenrelay::wire::ndjson::Frame::Line { bytes, .. } = frame else { continue };
            black_box(reader.read(&bytes, |_, _| send.clone()).is_ok());
        }
    })
}

/// The answers to one message.
fn reply_group() -> Box<dyn FnMut()> {
    let replies = b"250 2.0.0 Ok\r\n250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n250 2.0.0 Ok: queued as 4F8D21A2B3\r\n";
    Box::new(move || {
        let (mut framer, mut at) = (ReplyFramer::default(), 0);
        while let Ok(Some(octets)) = framer.find_end(&black_box(replies)[at..]) {
            black_box(Reply::parse(&replies[at..at + octets]).is_ok());
            at += octets;
        }
    })
}

fn dot_search() -> Box<dyn FnMut()> {
    let message = Rendering::new().message(Transfer::EightBit).to_octets();
    Box::new(move || {
        black_box(dot::has_dot_after_bare_line_end(&message));
    })
}

fn data_framing() -> Box<dyn FnMut()> {
    let mut wire = Rendering::new().message(Transfer::EightBit).to_octets().to_vec();
    wire.extend_from_slice(dot::FINAL_DOT);
    let mut content = Vec::with_capacity(wire.len());
    Box::new(move || {
        content.clear();
        let taken = DataFramer::default().take(&wire, &mut content);
        assert!(taken.is_complete);
    })
}

fn wipe_10_kib() -> Box<dyn FnMut()> {
    let mut octets = Wiped::from(vec![1; 10 * 1024]);
    Box::new(move || wipe(&mut octets))
}

/// One call is one record, whatever the batch: of 256 calls the last reads for all.
fn record(batch: usize) -> Box<dyn FnMut()> {
    let dir = TempDir::new().expect("a temporary folder");
    let (mut reader, tokens) = vault(&dir, 2_048);
    let mut next = 0;
    Box::new(move || {
        next += 1;
        if next % batch == 0 {
            // Steps of a prime: the order of neither the file nor the index.
            let asked: Vec<Token> =
                (next - batch..next).map(|at| tokens[at * 769 % tokens.len()].clone()).collect();
            let found = reader.read_batch(&asked).expect("the vault can be read");
            assert!(found.iter().all(|found| matches!(found, Ok(Some(_)))), "in {}", dir.path().display());
        }
    })
}

fn vault(dir: &TempDir, people: usize) -> (Reader, Vec<Token>) {
    let settings = tokenrelay::vault::Settings {
        dir: dir.path().join("vault"),
        root_key: RootKey::random(),
        mark_dirs: vec![dir.path().to_owned()],
    };
    let vault = Vault::open_or_create(&settings).expect("a new vault");
    let mut writer = vault.writer().expect("a writer");
    let tokens = (0..people).map(|n| Token::from_local(&format!("e_{n:016}")).expect("a token"));
    let tokens: Vec<Token> = tokens.collect();
    let draft = |(n, token): (usize, &Token)| {
        let mut draft = Draft::default();
        let street = format!("{n} Long Street");
        let email = format!("person{n}@people.example");
        for (name, value) in [
            ("token", token.as_str()),
            ("email", email.as_str()),
            ("first_name", "Dana"),
            ("last_name", "Levi"),
            ("city", "Springfield"),
            ("street", street.as_str()),
            ("birthday", "1980-01-02"),
        ] {
            draft.set_named(name, value).expect("a good value");
        }
        draft.checked().expect("a good row")
    };
    let drafts: Vec<Draft> = tokens.iter().enumerate().map(draft).collect();
    let change = tokenrelay::vault::AddressChange::Refused;
    for put in writer.put_batch(&drafts, change).expect("the vault can be written") {
        assert!(put.is_ok());
    }
    writer.settle().expect("the vault can be written");
    (vault.reader().expect("a reader"), tokens)
}
