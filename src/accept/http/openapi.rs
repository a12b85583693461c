//! The description of the HTTP door, served at `/openapi.json`.

use super::{answer, events, jobs_route, ledger, problem, receipt, records, results, routes};
use std::sync::OnceLock;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, ToSchema};

/// The description as JSON, built once.
pub(super) fn document() -> &'static str {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    DOCUMENT.get_or_init(|| Description::openapi().to_json().expect("the description serialises"))
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
        ProblemWithResultDoc, routes::LimitsText, ReadyDoc, ledger::JobView, ledger::AttemptView, ledger::StandingView,
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
/// `template` and `content` is given.
#[derive(ToSchema)]
#[schema(as = Job, example = json!({"job_id": "c42-17", "to": "e_684384628@tokens.example", "template": "welcome",
    "locale": "he", "data": {"order": "A-17"}, "campaign": "c42", "purpose": "marketing"}))]
#[expect(dead_code, reason = "read by the description only; jobs are read by hand")]
pub(super) struct JobDoc {
    /// The engine's own id of this job: 1 to 255 bytes without control characters. The same id gives the same send number
    /// and Message-ID, over HTTP and over an SMTP door with `accept = "handoff"`. Elsewhere over SMTP and LMTP one message may
    /// have several recipients, so the number there is made of id and token, and a job submitted over HTTP is another one.
    #[schema(min_length = 1, max_length = 255)]
    job_id: String,
    /// The token address of the recipient.
    to: String,
    /// Name of a template folder of the relay.
    #[schema(max_length = 128)]
    template: Option<String>,
    content: Option<ContentDoc>,
    /// BCP 47 tag.
    #[schema(max_length = 128, example = "he")]
    locale: Option<String>,
    /// Merge data for `data.*`, not personal; at most 10,000 values.
    data: Option<serde_json::Map<String, serde_json::Value>>,
    #[schema(max_length = 128)]
    campaign: Option<String>,
    /// What the message is for; consent is asked for it.
    #[schema(max_length = 128)]
    purpose: Option<String>,
    /// RFC 3339; not sent after it.
    #[schema(format = DateTime)]
    expires: Option<String>,
    /// Name of the target to use; otherwise the relay chooses.
    #[schema(max_length = 128)]
    target: Option<String>,
}

/// Sources sent with the job, in the language of templates. At least one of `text` and `html`.
#[derive(ToSchema)]
#[schema(as = Content, example = json!({"from": "shop@shop.example", "subject": "Order {{data.order}}",
    "text": "Hello {{person.first_name}}"}))]
#[expect(dead_code, reason = "read by the description only")]
pub(super) struct ContentDoc {
    /// A plain address.
    #[schema(max_length = 998)]
    from: String,
    #[schema(max_length = 998)]
    subject: String,
    text: Option<String>,
    html: Option<String>,
    #[schema(max_length = 998)]
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

/// A problem document with the members of the result beside its own (RFC 9457 §3.2).
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
    use crate::fault::State;

    #[test]
    fn the_description_is_complete() {
        let document: serde_json::Value = serde_json::from_str(document()).unwrap();
        let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
        assert_eq!(paths.len(), 9, "{paths:?}");
        let states = document["components"]["schemas"]["State"]["enum"].as_array().unwrap();
        let all: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
        assert_eq!(states.iter().map(|state| state.as_str().unwrap()).collect::<Vec<_>>(), all);
        // Every reference leads somewhere.
        let text = document.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is described nowhere");
        }
    }
}
