//! Job JSON (one object) -> [`Job`]. Refusals name the key and the column, never a value.

mod text;

use crate::engine::Engine;
use crate::fault::{Fault, Reason};
use crate::job::{Content, InlineContent, Job, Repeat, SendNumber, Token, is_job_id};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};
use text::JobText;

pub use crate::accept::data::DATA_VALUES_MAX;
#[cfg(test)]
pub use text::KEYS;

/// Longest `template`, `locale`, `campaign`, `purpose` and `target`, in bytes.
pub const LABEL_BYTES_MAX: usize = 128;
/// Longest header value sent as `content`, in bytes (RFC 5322 §2.1.1 bounds a line).
pub const CONTENT_HEADER_BYTES_MAX: usize = 998;

/// Reads the jobs of one session of one engine.
#[derive(Debug)]
pub struct JobReader {
    engine: Arc<Engine>,
    token_domains: Arc<[String]>,
    /// A stream mostly names one template: it is kept once, not once a job.
    template_before: Option<Arc<str>>,
}

/// A job that cannot be taken; with its id where that much could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadJob {
    pub job_id: Option<Box<str>>,
    pub fault: Fault,
}

impl JobReader {
    pub fn new(engine: Arc<Engine>, token_domains: Arc<[String]>) -> Self {
        Self { engine, token_domains, template_before: None }
    }

    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// From now on its grants are these.
    pub fn set_engine(&mut self, engine: Arc<Engine>) {
        self.engine = engine;
    }

    /// Reads one job. `number` gives the stable send number of this engine's job id.
    ///
    /// # Errors
    /// `bad-job` when it is not one JSON object of the known keys, each once and well formed; `not-a-token` when
    /// `to` is no token address of this relay.
    pub fn read(
        &mut self,
        json: &[u8],
        number: impl FnOnce(&str, &str) -> SendNumber,
    ) -> Result<(Box<str>, Job), BadJob> {
        let (text, misread) = JobText::read(json);
        let job_id = text.job_id.as_deref().filter(|id| is_job_id(id));
        let bad = |fault| BadJob { job_id: job_id.map(Box::from), fault };
        if let Some(fault) = misread {
            return Err(bad(fault));
        }
        let job_id = job_id.ok_or_else(|| {
            bad_job(
                "'job_id' is missing or not 1 to 255 bytes without control characters; give each job its own",
            )
        });
        let job_id = Box::<str>::from(job_id.map_err(bad)?);
        match self.job(text, &job_id, |engine| number(engine, &job_id)) {
            Ok(job) => Ok((job_id, job)),
            Err(fault) => Err(BadJob { job_id: Some(job_id), fault }),
        }
    }

    fn job(
        &mut self,
        text: JobText<'_>,
        job_id: &str,
        number: impl FnOnce(&str) -> SendNumber,
    ) -> Result<Job, Fault> {
        let to = text.to.ok_or_else(|| bad_job("'to' is missing; it names the token address"))?;
        let token = Token::from_address(&to, &self.token_domains)?;
        let content = match (text.template, text.content) {
            (Some(name), None) => Content::Template(self.template(&label(name, "template")?)),
            (None, Some(content)) => Content::Inline(checked_content(content)?),
            (Some(_), Some(_)) => {
                return Err(bad_job("'template' and 'content' exclude each other; keep one"));
            }
            (None, None) => return Err(bad_job("neither 'template' nor 'content' is given; give one")),
        };
        let optional = |value: Option<Cow<'_, str>>, key| {
            value.map(|value| label(value, key).map(|value| Box::<str>::from(value.as_ref()))).transpose()
        };
        Ok(Job {
            send: number(&self.engine.name),
            job_id: Some(job_id.into()),
            engine: self.engine.clone(),
            token,
            content,
            data: text.data.unwrap_or_default(),
            locale: optional(text.locale, "locale")?,
            campaign: optional(text.campaign, "campaign")?,
            purpose: optional(text.purpose, "purpose")?,
            target: optional(text.target, "target")?,
            expires: text.expires.as_deref().map(moment).transpose()?,
            sender: None,
            require_tls: false,
            repeat: Repeat::No,
            read_at: Instant::now(),
        })
    }

    fn template(&mut self, name: &str) -> Arc<str> {
        match &self.template_before {
            Some(before) if **before == *name => before.clone(),
            _ => self.template_before.insert(name.into()).clone(),
        }
    }
}

fn bad_job(detail: impl Into<Cow<'static, str>>) -> Fault {
    Fault::new(Reason::BadJob, detail)
}

fn label<'a>(value: Cow<'a, str>, key: &str) -> Result<Cow<'a, str>, Fault> {
    let fits = (1..=LABEL_BYTES_MAX).contains(&value.len()) && !has_control(&value);
    if fits {
        Ok(value)
    } else {
        Err(bad_job(format!("'{key}' is not 1 to 128 bytes without control characters")))
    }
}

fn has_control(value: &str) -> bool {
    // Most labels are ASCII, where an octet is a character.
    value.bytes().any(|byte| byte.is_ascii_control() || !byte.is_ascii())
        && value.chars().any(char::is_control)
}

fn moment(text: &str) -> Result<SystemTime, Fault> {
    let at: jiff::Timestamp = text
        .parse()
        .map_err(|_| bad_job("'expires' is not an RFC 3339 time such as 2031-05-01T12:00:00Z"))?;
    Ok(at.into())
}

fn checked_content(content: InlineContent) -> Result<Arc<InlineContent>, Fault> {
    for (key, value) in [
        ("from", Some(&content.from)),
        ("subject", Some(&content.subject)),
        ("reply_to", content.reply_to.as_ref()),
    ] {
        let Some(value) = value else { continue };
        if value.len() > CONTENT_HEADER_BYTES_MAX || value.chars().any(char::is_control) {
            return Err(bad_job(format!("content.{key} is over 998 bytes or holds a control character")));
        }
    }
    if !content.from.contains('@') {
        return Err(bad_job("content.from is not an address"));
    }
    if content.text.is_none() && content.html.is_none() {
        return Err(bad_job("content has neither 'text' nor 'html'; give at least one"));
    }
    Ok(Arc::new(content))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::engine::Credential;

    fn reader() -> JobReader {
        let engine = Engine {
            name: "campaigns".into(),
            credential: Credential::of(b"secret"),
            templates: vec!["*".into()],
            fields: vec![],
            purposes: vec!["service".into()],
            senders: None,
            allow_literal: vec![],
            purpose_default: None,
            rate_per_second_max: None,
        };
        JobReader::new(Arc::new(engine), vec![String::from("tokens.example")].into())
    }

    pub fn read(json: &[u8]) -> Result<(Box<str>, Job), BadJob> {
        reader().read(json, |_, _| SendNumber::from_bits([7; 16]))
    }

    fn refusal(json: impl AsRef<[u8]>) -> BadJob {
        read(json.as_ref()).expect_err("this job is bad")
    }

    fn detail(json: impl AsRef<[u8]>) -> String {
        let bad = refusal(json);
        assert_eq!(bad.fault.reason, Reason::BadJob);
        bad.fault.detail.into_owned()
    }

    #[test]
    fn a_whole_job_is_read() {
        let (job_id, job) = read(
            br#"{"job_id":"c42-17","to":"E_684384628@tokens.example","template":"welcome","locale":"he",
                "data":{"order":"A-17","lines":[{"n":1,"price":2.5}],"gift":true,"note":null},"campaign":"c42",
                "purpose":"marketing","expires":"2031-05-01T12:00:00+02:00","target":"mta1"}"#,
        )
        .unwrap();
        assert_eq!(&*job_id, "c42-17");
        assert_eq!(job.token.as_str(), "e_684384628");
        assert!(matches!(&job.content, Content::Template(name) if &**name == "welcome"));
        assert_eq!(
            serde_json::to_value(&job.data).unwrap(),
            serde_json::json!({"order":"A-17","lines":[{"n":1,"price":2.5}],"gift":true,"note":null})
        );
        assert_eq!((job.locale.as_deref(), job.target.as_deref()), (Some("he"), Some("mta1")));
        let noon: jiff::Timestamp = "2031-05-01T10:00:00Z".parse().unwrap();
        assert_eq!(job.expires, Some(noon.into()));
    }

    #[test]
    fn content_of_its_own_and_nulls_for_what_is_absent() {
        let (_, job) = read(
            r#"{"job_id":"1","to":"e_684384628@tokens.example","template":null,"campaign":null,
                "content":{"from":"shop@shop.example","subject":"Gr\u00fc\u00dfe","text":"Hi {{person.first_name}}"}}"#
                .as_bytes(),
        )
        .unwrap();
        let Content::Inline(content) = job.content else { panic!("inline content") };
        assert_eq!(content.subject, "Grüße");
        assert_eq!(job.campaign, None);
    }

    #[test]
    fn a_refusal_keeps_the_job_id_it_could_read() {
        let bad = refusal(br#"{"job_id":"c1","to":"e_684384628@tokens.example","template":5}"#);
        assert_eq!(bad.job_id.as_deref(), Some("c1"));
        assert_eq!(bad.fault.detail, "'template' is of the wrong type (column 61): it takes a string");
        let bad = refusal(br#"{"job_id":"c1","to":"dana@example.test","template":"x"}"#);
        assert_eq!((bad.job_id.as_deref(), bad.fault.reason), (Some("c1"), Reason::NotAToken));
        assert_eq!(refusal(br#"{"job_id":" c1","to":5}"#).job_id, None);
        assert_eq!(refusal(br#"{"to":5,"job_id":"c1"}"#).job_id.as_deref(), Some("c1"));
    }

    #[test]
    fn each_mistake_is_named_without_its_value() {
        for (json, said) in [
            (r#"{"to":"e_684384628@tokens.example","template":"t"}"#, "'job_id' is missing"),
            (r#"{"job_id":"1","template":"t"}"#, "'to' is missing"),
            (r#"{"job_id":"1","to":"e_684384628@tokens.example"}"#, "neither 'template' nor 'content'"),
            (r#"{"job_id":"1","job_id":"2"}"#, "'job_id' is there twice (column 22)"),
            (r#"{"job_id":"1","templat":"t"}"#, "unknown key (column 23); did you mean 'template'?"),
            (r#"{"job_id":"1","dana@example.test":"t"}"#, "unknown key (column 33); known are"),
            (r#"{"job_id":"1","data":{"a":{"dana":1,"dana":2}}}"#, "'data' holds a key twice"),
            (r#"{"job_id":"1","data":["dana"]}"#, "'data' is of the wrong type"),
            (
                r#"{"job_id":"1","content":{"from":"a@b","subject":"s","dana":1}}"#,
                "'content' holds an unknown key",
            ),
            (r#"{"job_id":"1","content":{"from":"a@b"}}"#, "'content' lacks 'subject'"),
            (r#"{"job_id":"1","content":{"from":{"dana":1}}}"#, "'content' is of the wrong type"),
            (r#"{"job_id":"1","to":"dana"#, "not valid JSON (column 24)"),
            (r#"{"job_id":"1"} dana"#, "not valid JSON (column 16)"),
            (r#"["dana"]"#, "a job is one JSON object"),
            (r#"{"job_id":"1","data":{"a":"\ud800"}}"#, "not valid JSON"),
            (
                r#"{"job_id":"1","to":"e_684384628@tokens.example","template":"t","expires":"dana"}"#,
                "'expires'",
            ),
            (
                r#"{"job_id":"1","to":"e_684384628@tokens.example","template":"a\u0007"}"#,
                "'template' is not 1 to",
            ),
        ] {
            let told = detail(json);
            assert!(told.starts_with(said), "{json}: {told}");
            assert!(!told.contains("dana"), "{told}");
        }
        assert!(detail(b"{\"job_id\":\"1\",\"data\":{\"a\":\"\xff\"}}").starts_with("not valid UTF-8"));
    }

    #[test]
    fn nesting_and_count_of_data_are_bounded() {
        let deep = format!(r#"{{"job_id":"1","data":{{"a":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert!(detail(&deep).contains("120 levels deep"));
        let wide = format!(r#"{{"job_id":"1","data":{{"a":[{}0]}}}}"#, "0,".repeat(DATA_VALUES_MAX));
        assert!(detail(&wide).starts_with("'data' holds more than 10000 values"));
    }

    proptest::proptest! {
        #[test]
        fn broken_jobs_are_refused_without_their_values(at in 0usize..140, with in "[\"{}\\[\\]:,\\\\a0-]{0,3}") {
            let whole = r#"{"job_id":"c1","to":"e_684384628@tokens.example","content":{"from":"secret@shop.example",
                "subject":"secret","text":"secret"},"data":{"secret":["secret",1,{"a":"secret"}]}}"#;
            let cut = at.min(whole.len());
            let broken = format!("{}{with}{}", &whole[..cut], &whole[(cut + 1).min(whole.len())..]);
            if let Err(bad) = read(broken.as_bytes()) {
                proptest::prop_assert!(!bad.fault.detail.contains("secret"), "{}", bad.fault.detail);
            }
        }
    }

    #[test]
    fn one_template_name_is_kept_for_the_whole_stream() {
        let mut reader = reader();
        let json = br#"{"job_id":"1","to":"e_684384628@tokens.example","template":"welcome"}"#;
        let mut name = || match reader.read(json, |_, _| SendNumber::from_bits([7; 16])).unwrap().1.content {
            Content::Template(name) => name,
            _ => panic!("a template"),
        };
        assert!(Arc::ptr_eq(&name(), &name()));
    }
}
