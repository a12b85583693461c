//! Who may submit: an engine's credential and its grants (templates, person fields, purposes).

use crate::fault::{Fault, Reason};
use crate::nearest::did_you_mean;
use crate::purpose::{self, is_purpose};
use crate::senders::Senders;
use aws_lc_rs::{constant_time, digest};
use std::fmt;
use std::sync::Arc;

/// How an engine shows who it is: by a secret, kept as its digest only, or by a name in its client certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    secret: Option<[u8; 32]>,
    certificate_name: Option<Box<str>>,
}

impl Credential {
    pub fn of(secret: &[u8]) -> Self {
        Self { secret: Some(digest_of(secret)), certificate_name: None }
    }

    /// A subject alternative name: a DNS name in any case; a URI or a mail address as it is written.
    pub fn of_certificate(name: &str) -> Self {
        let is_dns = !name.contains(['@', ':']);
        let name = if is_dns { name.to_ascii_lowercase() } else { name.to_owned() };
        Self { secret: None, certificate_name: Some(name.into()) }
    }

    /// Either of them will do.
    pub fn or(self, other: Self) -> Self {
        Self {
            secret: self.secret.or(other.secret),
            certificate_name: self.certificate_name.or(other.certificate_name),
        }
    }

    /// In constant time.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let kept = self.secret.unwrap_or_default();
        let is_equal = constant_time::verify_slices_are_equal(&kept, &digest_of(offered)).is_ok();
        is_equal && self.secret.is_some()
    }

    fn is_named(&self, name: &str) -> bool {
        self.certificate_name.as_deref() == Some(name)
    }
}

fn digest_of(secret: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, secret).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// One campaign engine. Everything it may do is listed; what is not listed is refused.
#[derive(Debug)]
pub struct Engine {
    pub name: Arc<str>,
    pub credential: Credential,
    /// Names of templates, or `*`; a trailing `*` matches a prefix.
    pub templates: Vec<String>,
    /// Person fields its jobs may reveal, or `*`.
    pub fields: Vec<String>,
    pub purposes: Vec<String>,
    /// What it may name as sender; `None` is everything.
    pub senders: Option<Senders>,
    /// Placeholders of other products that its messages mean as they stand, or `*`.
    pub allow_literal: Vec<String>,
    /// Used when neither job nor template states a purpose.
    pub purpose_default: Option<String>,
    /// Messages per second, if limited.
    pub rate_per_second_max: Option<u32>,
}

impl Engine {
    pub fn may_use_template(&self, name: &str) -> bool {
        granted(&self.templates, name)
    }

    pub fn may_reveal(&self, field: &str) -> bool {
        granted(&self.fields, field)
    }

    /// # Errors
    /// `sender-not-granted` for an address that is not covered by what the engine may name as sender in `place`.
    pub fn check_sender(&self, place: &str, address: &str) -> Result<(), Fault> {
        if self.senders.as_ref().is_none_or(|senders| senders.cover(address)) {
            return Ok(());
        }
        let detail = format!(
            "engine '{}' may not send from the address in {place}; use one of senders of this [[engine]], or add its address or domain there",
            self.name
        );
        Err(Fault::new(Reason::SenderNotGranted, detail))
    }

    pub fn may_mail_literally(&self, text: &str) -> bool {
        self.allow_literal.iter().any(|meant| meant == "*" || meant == text)
    }

    /// The purpose that applies. What a template names binds; a job may only choose among it, and state one freely where
    /// there is no template or it names none. Where the job states none: the only one that the template names, else the
    /// engine's default, else the engine's only one.
    ///
    /// # Errors
    /// `purpose-not-granted` when none is stated, or it is not among the engine's grants; `bad-job` when the job states one
    /// that its template does not name.
    pub fn purpose<'a>(&'a self, stated: Option<&'a str>, terms: Terms<'a>) -> Result<&'a str, Fault> {
        let purpose = match (stated, terms.purposes) {
            (Some(stated), _) => stated,
            (None, [only]) => only,
            (None, _) => self.usual_purpose(terms)?,
        };
        if !is_purpose_granted(&self.purposes, purpose) {
            return Err(Fault::new(
                Reason::PurposeNotGranted,
                format!(
                    "engine '{}' has no grant for this purpose; add it to purposes of [[engine]]{}",
                    self.name,
                    did_you_mean(purpose, self.purposes.iter().map(String::as_str))
                ),
            ));
        }
        if terms.allow(purpose) { Ok(purpose) } else { Err(terms.contradicted_by(purpose)) }
    }

    /// For jobs that state none.
    ///
    /// # Errors
    /// `purpose-not-granted` when there is none that the template allows.
    fn usual_purpose<'a>(&'a self, terms: Terms<'_>) -> Result<&'a str, Fault> {
        let only = match self.purposes.as_slice() {
            [only] if only != "*" => Some(only.as_str()),
            _ => None,
        };
        let usual = self.purpose_default.as_deref().or(only);
        usual
            .filter(|usual| terms.allow(usual))
            .ok_or_else(|| Fault::new(Reason::PurposeNotGranted, terms.unchosen()))
    }
}

/// What the content of a job says about its purpose.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terms<'a> {
    /// The template's name; empty for a content that came with its job.
    pub template: &'a str,
    /// Those that the template names.
    pub purposes: &'a [Box<str>],
}

impl Terms<'_> {
    fn allow(&self, purpose: &str) -> bool {
        self.purposes.is_empty() || self.purposes.iter().any(|named| purpose::is_same(named, purpose))
    }

    fn contradicted_by(&self, stated: &str) -> Fault {
        let Self { template, purposes } = self;
        let named = purposes.join(" or ");
        let stated = if is_purpose(stated) { stated } else { "another" };
        let detail = format!(
            "the template {template} is for {named}, and the job states {stated}; state {named}, or use a template for {stated}"
        );
        Fault::new(Reason::BadJob, detail)
    }

    fn unchosen(&self) -> String {
        match self.purposes {
            [] => {
                "no purpose is stated; set it in the job, in template.toml, or purpose_default of the engine"
                    .into()
            }
            named => format!(
                "the template {} is for {}, and the job states none; state one of them, or make it purpose_default of the \
                 engine",
                self.template,
                named.join(" or ")
            ),
        }
    }
}

/// Whether one of the grants is this name, or a beginning of it with `*` behind.
pub fn granted(grants: &[String], name: &str) -> bool {
    grants.iter().any(|grant| match grant.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => grant == name,
    })
}

/// [`granted`] for purposes, which are the same in any case.
pub fn is_purpose_granted(grants: &[String], purpose: &str) -> bool {
    grants.iter().any(|grant| match grant.strip_suffix('*') {
        Some(prefix) => purpose.get(..prefix.len()).is_some_and(|start| purpose::is_same(start, prefix)),
        None => purpose::is_same(grant, purpose),
    })
}

/// All engines that may submit.
#[derive(Debug, Default)]
pub struct Engines(Vec<Arc<Engine>>);

impl Engines {
    pub fn new(engines: Vec<Arc<Engine>>) -> Self {
        Self(engines)
    }

    /// TLS client certificate: the subject alternative names of one that was verified, DNS names in lower case.
    pub fn by_certificate(&self, names: &[String]) -> Option<Arc<Engine>> {
        let is_one = |engine: &&Arc<Engine>| names.iter().any(|name| engine.credential.is_named(name));
        self.0.iter().find(is_one).cloned()
    }

    /// The engine a door belongs to.
    pub fn by_name(&self, name: &str) -> Option<Arc<Engine>> {
        self.0.iter().find(|engine| *engine.name == *name).cloned()
    }

    /// Those that `later` does not have, as a list to read.
    pub fn names_missing_in(&self, later: &Self) -> String {
        let gone = self.0.iter().filter(|engine| later.by_name(&engine.name).is_none());
        gone.map(|engine| &*engine.name).collect::<Vec<_>>().join(", ")
    }

    /// What has become of an engine that showed its credential before: with its grants of now, or `None` when it could not show
    /// that credential any more.
    pub fn as_of_now(&self, engine: &Engine) -> Option<Arc<Engine>> {
        self.by_name(&engine.name).filter(|now| now.credential == engine.credential)
    }

    /// Whether who showed the credential of `engine` before could show it still.
    pub fn still_know(&self, engine: &Engine) -> bool {
        self.as_of_now(engine).is_some()
    }

    /// SMTP AUTH: user name and password. An unknown name costs the same time as a wrong password.
    pub fn by_password(&self, name: &str, password: &[u8]) -> Option<Arc<Engine>> {
        self.0.iter().fold(None, |found, engine| {
            let secret_matches = engine.credential.matches(password);
            if secret_matches && *engine.name == *name { Some(engine.clone()) } else { found }
        })
    }

    /// HTTP bearer key. Every key is compared, so the time tells nothing about which one was near.
    pub fn by_key(&self, key: &[u8]) -> Option<Arc<Engine>> {
        self.0.iter().fold(
            None,
            |found, engine| {
                if engine.credential.matches(key) { Some(engine.clone()) } else { found }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(purposes: &[&str]) -> Engine {
        Engine {
            name: "campaigns".into(),
            credential: Credential::of(b"secret"),
            templates: vec!["shop-*".into(), "welcome".into()],
            fields: vec!["first_name".into()],
            purposes: purposes.iter().map(|p| String::from(*p)).collect(),
            senders: None,
            allow_literal: vec![],
            purpose_default: None,
            rate_per_second_max: None,
        }
    }

    #[test]
    fn grants_match_whole_names_or_prefixes() {
        let engine = engine(&["service"]);
        assert!(engine.may_use_template("welcome") && engine.may_use_template("shop-sale"));
        assert!(!engine.may_use_template("welcome2") && !engine.may_use_template("statement"));
        assert!(engine.may_reveal("first_name") && !engine.may_reveal("last_name"));
    }

    fn chosen(engine: &Engine, stated: Option<&str>, named: &[&str]) -> Result<String, (Reason, String)> {
        let purposes: Vec<Box<str>> = named.iter().map(|name| Box::from(*name)).collect();
        let terms = Terms { template: "welcome", purposes: &purposes };
        let chosen = engine.purpose(stated, terms).map(str::to_owned);
        chosen.map_err(|fault| (fault.reason, fault.detail.into_owned()))
    }

    #[test]
    fn b11_a_purpose_is_granted_in_any_case() {
        let engine = engine(&["Marketing", "Shop-*"]);
        let named = [Box::from("MARKETING")];
        let terms = Terms { template: "offer", purposes: &named };
        assert_eq!(engine.purpose(Some("marketing"), terms).unwrap(), "marketing");
        assert!(engine.purpose(Some("shop-sale"), Terms::default()).is_ok());
        for not in ["market", "marketing2", "sho", "\u{17f}hop-sale"] {
            assert!(engine.purpose(Some(not), Terms::default()).is_err(), "{not}");
        }
    }

    #[test]
    fn p6_a_purpose_that_the_template_names_binds() {
        let both = engine(&["service", "marketing", "news-*"]);
        let with_default =
            Engine { purpose_default: Some("service".into()), ..engine(&["service", "marketing"]) };
        let is = |purpose: &str| Ok(purpose.to_owned());
        assert_eq!(chosen(&both, None, &["marketing"]), is("marketing"));
        assert_eq!(chosen(&both, Some("marketing"), &["marketing"]), is("marketing"));
        assert_eq!(chosen(&with_default, None, &["marketing"]), is("marketing"));
        let detail = "the template welcome is for marketing, and the job states service; state marketing, or use a template \
                      for service";
        for engine in [&both, &with_default] {
            let refused = (Reason::BadJob, String::from(detail));
            assert_eq!(chosen(engine, Some("service"), &["marketing"]), Err(refused));
        }
        for near in ["marketing ", "market", "news-*"] {
            assert!(chosen(&engine(&["*"]), Some(near), &["marketing"]).is_err(), "{near}");
        }
        // The grants come first: an engine is not told of purposes that it has nothing to do with.
        assert_eq!(chosen(&both, Some("other"), &["marketing"]).unwrap_err().0, Reason::PurposeNotGranted);
        assert_eq!(
            chosen(&engine(&["service"]), None, &["marketing"]).unwrap_err().0,
            Reason::PurposeNotGranted
        );
    }

    #[test]
    fn p6_a_job_chooses_among_several_that_the_template_names() {
        let both = engine(&["service", "marketing", "news"]);
        let with_default =
            Engine { purpose_default: Some("news".into()), ..engine(&["service", "marketing", "news"]) };
        let named = ["marketing", "news"];
        for purpose in named {
            assert_eq!(chosen(&both, Some(purpose), &named), Ok(purpose.to_owned()));
        }
        assert_eq!(chosen(&both, Some("service"), &named).unwrap_err().0, Reason::BadJob);
        assert_eq!(chosen(&with_default, None, &named), Ok("news".into()));
        assert_eq!(chosen(&engine(&["news"]), None, &named), Ok("news".into()));
        let (reason, detail) = chosen(&both, None, &named).unwrap_err();
        assert_eq!(reason, Reason::PurposeNotGranted);
        assert!(detail.contains("marketing or news") && detail.contains("purpose_default"), "{detail}");
        assert!(chosen(&with_default, None, &["service", "marketing"]).is_err());
    }

    #[test]
    fn p6_where_no_template_names_one_the_grants_bind() {
        let both = engine(&["service", "marketing"]);
        assert_eq!(chosen(&both, Some("service"), &[]), Ok("service".into()));
        assert!(chosen(&both, None, &[]).is_err());
        assert!(chosen(&both, Some("other"), &[]).is_err());
        assert_eq!(chosen(&engine(&["service"]), None, &[]), Ok("service".into()));
        let with_default = Engine { purpose_default: Some("marketing".into()), ..both };
        assert_eq!(chosen(&with_default, None, &[]), Ok("marketing".into()));
    }

    #[test]
    fn a_certificate_is_a_credential_of_its_own() {
        let credential = Credential::of_certificate("Engine.Shop.example");
        let by_certificate = Engine { credential: credential.clone(), ..engine(&["service"]) };
        let engines = Engines::new(vec![Arc::new(by_certificate)]);
        let found = |name: &str| engines.by_certificate(&[String::from("other"), name.into()]).is_some();
        assert!(found("engine.shop.example") && !found("shop.example") && !found(""));
        assert!(engines.by_key(b"").is_none() && engines.by_key(&[0; 32]).is_none());
        assert!(engines.by_password("campaigns", b"").is_none());
        let either = Credential::of(b"secret").or(credential);
        assert!(either.matches(b"secret") && either.is_named("engine.shop.example"));
        assert!(!Credential::of_certificate("News@Shop.example").is_named("news@shop.example"));
    }

    #[test]
    fn an_engine_is_found_by_name_and_password_or_by_key() {
        let engines = Engines::new(vec![Arc::new(engine(&["service"]))]);
        assert!(engines.by_password("campaigns", b"secret").is_some());
        assert!(engines.by_password("campaigns", b"wrong").is_none());
        assert!(engines.by_password("other", b"secret").is_none());
        assert!(engines.by_key(b"secret").is_some() && engines.by_key(b"").is_none());
    }
}
