//! First MTAs whose certificate is not good: the job is deferred with the reason, and nothing was said to them.

use crate::set_up::{Identity, Mta, Stage, TARGET_USER};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls_pki_types::PrivatePkcs8KeyDer;
use serde_json::json;
use std::sync::Arc;
use tokenrelay::load::sink::Script;
use tokenrelay::tls::DevAuthority;

const LOOPBACK: [&str; 1] = ["127.0.0.1"];

fn showing(name: &'static str, config: Arc<rustls::ServerConfig>, authority: Option<&DevAuthority>) -> Mta {
    let identity = Identity::Other { config, authority_pem: authority.map(DevAuthority::certificate_pem) };
    Mta { identity, ..Mta::new(name, Script::default()) }
}

fn self_signed() -> Arc<rustls::ServerConfig> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(LOOPBACK.map(String::from)).unwrap().self_signed(&key).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(tokenrelay::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_not_good_defers_and_nothing_is_said() {
    let ca = DevAuthority::new("test authority").unwrap();
    let expired = ca.server_with(&LOOPBACK, |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
    });
    let world = Stage::new()
        .mta(showing("good", ca.server(&LOOPBACK).unwrap(), Some(&ca)))
        .mta(showing("expired", expired.unwrap(), Some(&ca)))
        .mta(showing("misnamed", ca.server(&["mta.example"]).unwrap(), Some(&ca)))
        .mta(showing("stranger", ca.server(&LOOPBACK).unwrap(), None))
        .mta(showing("self-signed", self_signed(), None))
        .up()
        .await;
    let mut http = world.http().await;
    let mut smtp = world.smtp().await;
    for (target, cause, fix) in [
        ("expired", "has expired", "renew"),
        ("misnamed", "for another name", "127.0.0.1"),
        ("stranger", "trusted authority", "set ca"),
        ("self-signed", "signed itself", "pin = [\"sha256/"),
    ] {
        let mut job = world.job(0, target);
        job["target"] = target.into();
        let answer = http.post(&job).await;
        let result = answer.json();
        assert_eq!((answer.status, &result["state"]), (503, &json!("deferred")), "{result}");
        assert_eq!(result["reason"], "target-unavailable");
        let detail = result["detail"].as_str().unwrap();
        assert!(detail.contains(cause) && detail.contains(fix), "{detail}");
        let message = format!("X-TokenRelay-Target: {target}\r\n{}", world.message(1));
        let reply = smtp.send(&world.people[1].address(), &message).await;
        assert_eq!(reply.codes(), "451 4.4.1");
        assert!(reply.text.contains(cause), "{reply:?}");
    }
    assert_eq!(http.post(&world.job(0, "good")).await.json()["target"], "good");
    for mta in &world.mtas[1..] {
        assert_eq!(mta.sink.as_ref().unwrap().stats().mail_commands, 0, "{}", mta.name);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_targets_password_is_given_to_the_target_and_shown_to_nobody() {
    const PASSWORD: &str = "a-password-of-the-target";
    let asking = |name| Mta { password: Some(PASSWORD), ..Mta::new(name, Script::default()) };
    let stage =
        Stage::new().file("keys/right", PASSWORD).file("keys/wrong", "another-password-of-the-target");
    let world = stage
        .mta(asking("right"))
        .mta(asking("wrong"))
        .edit(|file| {
            for (at, key) in [(0, "file:keys/right"), (1, "file:keys/wrong")] {
                let mut auth = toml_edit::InlineTable::new();
                auth.insert("user", TARGET_USER.into());
                auth.insert("password", key.into());
                file["target"][at]["auth"] = toml_edit::value(auth);
            }
        })
        .up()
        .await;
    let mut http = world.http().await;
    for (target, state) in [("right", "relayed"), ("wrong", "deferred")] {
        let mut job = world.job(0, target);
        job["target"] = target.into();
        let result = http.post(&job).await.json();
        assert_eq!(result["state"], state, "{result}");
    }
    let messages = world.messages();
    assert!(messages.len() == 1 && messages[0].envelope.tls);
    world.finish().await;
}
