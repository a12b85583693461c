//! The description of the HTTP door, served at `/openapi.json`.

mod tighten;

use super::{answer, events, jobs_route, ledger, problem, receipt, records, results, routes};
use std::sync::OnceLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// The description as JSON, built once.
pub(super) fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut document = serde_json::to_value(Description::openapi()).expect("the description serialises");
        tighten::tighten(&mut document);
        document.to_string()
    })
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tokenrelay",
        description = "Submit jobs addressed to tokens; the relay resolves, renders and hands each message to \
            the first mail transfer agent. Neither requests nor answers hold personal data.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT")
    ),
    paths(
        jobs_route::post_jobs, results::results, records::job, records::campaign, events::events, routes::limits, routes::livez,
        routes::readyz, routes::metrics, routes::openapi_json
    ),
    components(schemas(
        JobDoc, ContentDoc, answer::ResultText, answer::StageMs, receipt::ReceiptText, StateText, ReasonText, problem::ProblemText,
        ProblemWithResultDoc, TakenDoc, RespondText, routes::LimitsText, ReadyDoc, ledger::JobView, ledger::AttemptView, ledger::StandingView,
        ledger::VerdictView, ledger::RecordView, ledger::ResultView, ledger::CampaignView, ledger::CountView, ledger::EventView
    )),
    modifiers(&EngineKey),
    tags((name = "jobs", description = "Submitting"),
        (name = "ledger", description = "What became of jobs"), (name = "health", description = "For operators"))
)]
struct Description;

struct EngineKey;

impl Modify for EngineKey {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("The secret of an `[[engine]]`"))
            .build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("engine_key", SecurityScheme::Http(scheme));
    }
}

/// One message for one recipient token. Unknown keys are refused; `null` is the same as absent. Exactly one of
/// `template` and `content` is given. Lengths are in bytes of UTF-8. No word of a job holds a placeholder (`{{...}}`), nor does a
/// value of `data` one of `person`, `data` or `send`.
#[derive(ToSchema)]
#[schema(as = Job, example = json!({"job_id": "c42-17", "to": "e_684384628@tokens.example", "template": "welcome",
    "locale": "he", "data": {"order": "A-17"}, "campaign": "c42", "purpose": "marketing"}))]
#[expect(dead_code, reason = "read by the description only; jobs are read by hand")]
#[serde(deny_unknown_fields)]
pub(super) struct JobDoc {
    /// The engine's own id of this job: 1 to 255 bytes without control characters. The same id gives the same send number
    /// and Message-ID, over HTTP and over an SMTP door with `accept = "handoff"`. Elsewhere over SMTP and LMTP one message may
    /// have several recipients, so the number there is made of id and token, and a job submitted over HTTP is another one.
    #[schema(
        min_length = 1,
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
    )]
    job_id: String,
    /// The token address of the recipient.
    to: String,
    /// Name of a template folder of the relay.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    template: Option<String>,
    content: Option<ContentDoc>,
    /// BCP 47 tag.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "he")]
    locale: Option<String>,
    /// Merge data for `data.*`, not personal; at most 10,000 values.
    data: Option<serde_json::Map<String, serde_json::Value>>,
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    campaign: Option<String>,
    /// What the message is for; consent is asked for it.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    purpose: Option<String>,
    /// RFC 3339; not sent after it.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Name of the target to use; otherwise the relay chooses.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    target: Option<String>,
}

/// Sources sent with the job, in the language of templates. At least one of `text` and `html`.
#[derive(ToSchema)]
#[schema(as = Content, example = json!({"from": "shop@shop.example", "subject": "Order {{data.order}}",
    "text": "Hello {{person.first_name}}"}))]
#[expect(dead_code, reason = "read by the description only")]
#[serde(deny_unknown_fields)]
pub(super) struct ContentDoc {
    /// An address, with a display name before it or not.
    #[schema(max_length = 998, pattern = r"^[^\x00-\x1f\x7f-\x9f]*@[^\x00-\x1f\x7f-\x9f]*$")]
    from: String,
    #[schema(max_length = 998, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    subject: String,
    text: Option<String>,
    html: Option<String>,
    #[schema(max_length = 998, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    reply_to: Option<String>,
}

/// * `relayed`: the first MTA took it
/// * `journaled`: durably held, will be relayed
/// * `deferred`: temporary, nothing is held, submit it again
/// * `rejected`, `suppressed`, `expired`, `cancelled`: not sent
/// * `unknown`: the connection was lost after the message was handed over; it may have been delivered
/// * `lost`: a defect of the relay
#[derive(ToSchema)]
#[schema(as = State, rename_all = "kebab-case")]
#[expect(dead_code, reason = "read by the description only")]
pub(super) enum StateText {
    Relayed,
    Journaled,
    Deferred,
    Rejected,
    Suppressed,
    Expired,
    Cancelled,
    Unknown,
    Lost,
}

/// The closed list of reasons.
#[derive(ToSchema)]
#[schema(as = Reason, rename_all = "kebab-case")]
#[expect(dead_code, reason = "read by the description only")]
pub(super) enum ReasonText {
    UnknownToken,
    ExpiredToken,
    NotAToken,
    NoConsent,
    Restricted,
    Erased,
    Duplicate,
    MissingField,
    FieldNotGranted,
    PurposeNotGranted,
    SenderNotGranted,
    TemplateNotFound,
    BadTemplate,
    BadJob,
    TooLarge,
    TargetRejected,
    TargetUnavailable,
    VaultUnavailable,
    VaultSealed,
    OverQuota,
    JournalFull,
}

/// A problem document with the members of the result beside its own, where a job was read, or of the receipt, where one was asked
/// for (RFC 9457 §3.2).
#[derive(ToSchema)]
#[schema(as = ProblemWithResult, example = json!({"type": "urn:tokenrelay:problem:unknown-token",
    "title": "Unprocessable Entity", "status": 422, "job_id": "c42-17", "send": "s_chkrkqopv4emf76nwf6tsxbprm",
    "state": "rejected", "reason": "unknown-token", "detail": "the vault does not know this token"}))]
#[expect(dead_code, reason = "read by the description only")]
pub(super) struct ProblemWithResultDoc {
    #[schema(rename = "type")]
    kind: String,
    title: String,
    status: u16,
    #[schema(inline)]
    #[serde(flatten)]
    result: answer::ResultText<'static>,
    #[schema(inline)]
    #[serde(flatten)]
    receipt: receipt::ReceiptText<'static>,
}

/// The result of one job; of a stream with `respond=ledger` its receipt.
#[derive(ToSchema)]
#[schema(as = Taken)]
#[serde(untagged)]
#[expect(dead_code, reason = "read by the description only")]
pub(super) enum TakenDoc {
    Result(answer::ResultText<'static>),
    Receipt(receipt::ReceiptText<'static>),
}

/// What a body of jobs is answered with.
#[derive(ToSchema)]
#[schema(as = Respond, rename_all = "kebab-case")]
#[expect(dead_code, reason = "read by the description only")]
pub(super) enum RespondText {
    Results,
    Ledger,
}

#[derive(ToSchema)]
#[schema(as = Ready, example = json!({"ok": false, "problems": ["vault: sealed"]}))]
#[expect(dead_code, reason = "read by the description only")]
pub(super) struct ReadyDoc {
    ok: bool,
    problems: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::jobs::KEYS;
    use crate::fault::{Reason, State};
    use crate::job::InlineContent;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_is_complete() {
        let document: serde_json::Value = serde_json::from_str(document()).unwrap();
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths.len(), 9, "{paths:?}");
        let states = document["components"]["schemas"]["State"]["enum"].as_array().unwrap();
        let all: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(states.iter().map(|state| state.as_str().unwrap()).collect::<Vec<_>>(), all);
        let reasons = document["components"]["schemas"]["Reason"]["enum"].as_array().unwrap();
        let all: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(reasons.iter().map(|reason| reason.as_str().unwrap()).collect::<Vec<_>>(), all);
        let members = |name: &str| {
            let object = document["components"]["schemas"][name]["properties"].as_object().unwrap();
            object.keys().cloned().collect::<BTreeSet<_>>()
        };
        assert_eq!(members("Job"), KEYS.map(String::from).into());
        let content = serde_json::json!({"from": "", "subject": ""});
        let content: InlineContent = serde_json::from_value(content).unwrap();
        let written = serde_json::to_value(content).unwrap();
        assert_eq!(members("Content"), written.as_object().unwrap().keys().cloned().collect());
        // Every reference leads somewhere.
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is described nowhere");
        }
    }
}
