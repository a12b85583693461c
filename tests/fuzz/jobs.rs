//! Jobs in JSON.

use crate::fuzz;
use std::sync::Arc;
use tokenrelay::accept::jobs::JobReader;
use tokenrelay::engine::{Credential, Engine};
use tokenrelay::job::{Content, SendNumber};

const SEEDS: &[&[u8]] = &[
    br#"{"job_id":"c42-17","to":"e_684384628@tokens.example","template":"welcome","locale":"he","data":{"order":"A-17","items":[1,2.5,null,true]},"campaign":"c42","purpose":"marketing","expires":"2030-01-01T00:00:00Z","target":"mta1"}"#,
    br#"{"job_id":"1","to":"m_12345678@tokens.example","content":{"from":"a@b.example","subject":"Hi {{person.first_name}}","text":"x","html":"<p>x</p>","reply_to":"c@d.example"}}"#,
    br#"{"job_id":"\u0041\ud83d\ude00","to":"E_12345678@TOKENS.example","template":"x"}"#,
    br#"[]"#,
    br#"{"job_id":"1","job_id":"2"}"#,
];
const WORDS: &[&[u8]] = &[
    br#""job_id":"1","#,
    br#""to":"dana@example.test","#,
    br#""data":{"a":"#,
    br#"\ud800"#,
    br#"\u0000"#,
    br#"\r\n"#,
    b"1e999",
    b"-0",
    b"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    b"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
    b"null",
    b"\xef\xbb\xbf",
];

#[test]
fn job_lines() {
    let engine = Arc::new(Engine {
        name: "campaigns".into(),
        credential: Credential::of(b"s3cret"),
        templates: vec!["*".into()],
        fields: vec!["*".into()],
        purposes: vec!["service".into()],
        senders: None,
        allow_literal: vec![],
        purpose_default: None,
        rate_per_second_max: None,
    });
    let mut reader = JobReader::new(engine, Arc::new([String::from("tokens.example")]));
    fuzz(SEEDS, WORDS, |line, _| {
        let read = reader.read(line, |_, _| SendNumber::from_bits([1; 16]));
        let json = serde_json::from_slice::<serde_json::Value>(line);
        match read {
            Ok((job_id, job)) => {
                let json = json.expect("a job is JSON");
                assert_eq!(json["job_id"].as_str(), Some(&*job_id), "one id, read alike");
                assert!(tokenrelay::job::is_job_id(&job_id));
                assert_eq!(job.token.as_str().len(), job.token.as_str().trim().len());
                if let Content::Inline(content) = &job.content {
                    let headers = [Some(&content.from), Some(&content.subject), content.reply_to.as_ref()];
                    for header in headers.into_iter().flatten() {
                        assert!(header.len() <= 998 && !header.contains(['\r', '\n', '\0']), "{header:?}");
                    }
                }
                (String::from("job"), job.data.len())
            }
            Err(bad) => {
                assert!(
                    bad.fault.detail.len() < 400,
                    "a refusal repeats nothing of the line: {}",
                    bad.fault.detail
                );
                assert!(!bad.fault.detail.chars().any(char::is_control), "{:?}", bad.fault.detail);
                (bad.fault.detail.chars().take(24).collect(), usize::from(bad.job_id.is_some()))
            }
        }
    });
}
