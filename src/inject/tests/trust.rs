//! No octet of a message or a credential goes to a target that has not proved who it is.

use super::*;
use crate::fault::{Reason, State};
use crate::load::sink::SinkStats;
use rcgen::date_time_ymd;

type Wanted = fn(&Trouble) -> bool;

struct Case {
    what: &'static str,
    tls: SinkTls,
    profile: &'static str,
    wanted: Wanted,
}

async fn assert_nothing_sent(case: Case, client: &ClientTls, mode: TlsMode) {
    let script = Script::profile(case.profile).unwrap();
    let auth = Some((String::from("relay"), String::from("s3cret")));
    let (sink, port) = sink(SinkSettings { tls: case.tls, script, auth, ..SinkSettings::default() }).await;
    let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
    target.tls = mode;
    target.client_tls = Some(client.clone());
    target.auth = Some(TargetAuth { user: String::from("relay"), password: String::from("s3cret").into() });
    let steps = probe(&target, &ProbeEnvelope::default()).await;
    let failure = steps.last().unwrap().result.clone().unwrap_err();
    assert!((case.wanted)(&failure.trouble), "{}: {:?}", case.what, failure);
    assert!(!failure.fix.is_empty());

    let injector = Injector::start(vec![target]);
    let handle = injector.choose(None).unwrap();
    let Err(DeliverError::Failed(fault)) = injector.deliver(&handle, delivery("x\r\n")).await else {
        panic!()
    };
    assert_eq!((fault.reason, fault.state()), (Reason::TargetUnavailable, State::Deferred), "{}", case.what);
    assert!(fault.detail.contains(&failure.cause) && fault.detail.contains(&failure.fix), "{fault}");
    assert!(!fault.detail.contains("s3cret"));
    let SinkStats { mail_commands, contents, .. } = sink.stats();
    assert_eq!((mail_commands, contents), (0, 0), "{}", case.what);
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_named_and_nothing_is_sent() {
    let ca = DevAuthority::new("test authority").unwrap();
    let other = DevAuthority::new("test authority").unwrap();
    let client = trusting(&ca);
    let name = ["127.0.0.1"];
    let valid = |from: i32, until: i32| {
        let server = ca.server_with(&name, |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
        });
        server.unwrap()
    };
    let expired = || valid(2019, 2020);
    let early = || valid(2090, 2091);
    let wrong_name = || ca.server(&["other.test"]).unwrap();
    let stranger = || other.server(&name).unwrap();
    let makers: [(_, &dyn Fn() -> Arc<rustls::ServerConfig>, Wanted); 4] = [
        ("expired", &expired, |t| matches!(t, Trouble::Tls(TlsTrouble::Expired))),
        ("early", &early, |t| matches!(t, Trouble::Tls(TlsTrouble::NotYetValid))),
        ("wrong name", &wrong_name, |t| matches!(t, Trouble::Tls(TlsTrouble::WrongName))),
        ("stranger", &stranger, |t| matches!(t, Trouble::Tls(TlsTrouble::UnknownIssuer))),
    ];
    for (what, make, wanted) in makers {
        let case = |tls| Case { what, tls, profile: "accept", wanted };
        assert_nothing_sent(case(SinkTls::StartTls(make())), &client, TlsMode::StartTls).await;
        assert_nothing_sent(case(SinkTls::Implicit(make())), &client, TlsMode::Implicit).await;
    }
}

#[tokio::test]
async fn a_stripped_or_disturbed_starttls_never_falls_back_to_clear_text() {
    let ca = DevAuthority::new("test authority").unwrap();
    let client = trusting(&ca);
    let cases: [(&'static str, Wanted); 6] = [
        ("no-starttls", |t| matches!(t, Trouble::StartTlsNotOffered)),
        ("extra-reply-before-tls", |t| matches!(t, Trouble::InjectedBeforeTls)),
        ("421-greeting", |t| matches!(t, Trouble::GreetingRefused { code: 421, .. })),
        ("refuse-auth", |t| matches!(t, Trouble::AuthRefused(said) if said.code.basic == 535)),
        ("refuse-auth,long-replies", |t| matches!(t, Trouble::AuthRefused(said) if said.code.basic == 535)),
        ("no-starttls,no-pipelining", |t| matches!(t, Trouble::StartTlsNotOffered)),
    ];
    for (profile, wanted) in cases {
        let tls = SinkTls::StartTls(ca.server(&["127.0.0.1"]).unwrap());
        assert_nothing_sent(Case { what: profile, tls, profile, wanted }, &client, TlsMode::StartTls).await;
    }
}

#[tokio::test]
async fn a_port_that_speaks_the_other_way_is_recognised() {
    let ca = DevAuthority::new("test authority").unwrap();
    let client = trusting(&ca);
    let case = Case {
        what: "implicit against starttls",
        tls: SinkTls::StartTls(ca.server(&["127.0.0.1"]).unwrap()),
        profile: "accept",
        wanted: |t| matches!(t, Trouble::Tls(TlsTrouble::NotTls)),
    };
    assert_nothing_sent(case, &client, TlsMode::Implicit).await;
}

#[tokio::test]
async fn auth_is_given_inside_tls_and_the_probe_says_what_it_found() {
    let ca = DevAuthority::new("test authority").unwrap();
    let auth = Some((String::from("relay"), String::from("s3cret")));
    let tls = SinkTls::Implicit(ca.server(&["127.0.0.1"]).unwrap());
    let (sink, port) = sink(SinkSettings { tls, auth, ..SinkSettings::default() }).await;
    let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
    target.tls = TlsMode::Implicit;
    target.client_tls = Some(trusting(&ca));
    target.auth = Some(TargetAuth { user: String::from("relay"), password: String::from("s3cret").into() });
    let steps = probe(&target, &ProbeEnvelope::default()).await;
    let found: Vec<_> = steps.iter().map(|step| (step.name, step.result.clone().unwrap())).collect();
    assert_eq!(
        found.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["tcp", "tls", "ehlo", "auth", "mail", "rcpt"]
    );
    assert!(found[1].1.contains("TLSv1_3") && found[1].1.contains("valid until"), "{}", found[1].1);
    assert!(found[2].1.contains("PIPELINING"));

    let injector = Injector::start(vec![target]);
    let handle = injector.choose(None).unwrap();
    injector.deliver(&handle, delivery("x\r\n")).await.unwrap();
    assert_eq!(sink.stats().messages, 1);
}

#[tokio::test]
async fn clear_text_is_spoken_on_loopback_only() {
    let (sink, port) = sink(SinkSettings { keep: true, ..SinkSettings::default() }).await;
    let mut target = TargetSettings::new("mta1", "127.0.0.1", port);
    target.tls = TlsMode::None;
    let injector = Injector::start(vec![target.clone()]);
    let handle = injector.choose(None).unwrap();
    injector.deliver(&handle, delivery("x\r\n")).await.unwrap();
    assert_eq!(sink.messages().len(), 1);

    target.tls = TlsMode::StartTls;
    let Err(failure) = probe(&target, &ProbeEnvelope::default()).await.pop().unwrap().result else {
        panic!()
    };
    assert!(matches!(failure.trouble, Trouble::StartTlsNotOffered));
}

/// The second session to a target costs no signature and no certificate: the server itself says so.
#[tokio::test]
async fn a_further_session_resumes_the_tls_of_the_one_before() {
    let every_time_anew = |target: &mut TargetSettings| target.messages_per_connection_max = 1;
    let pair = pair_with(Script::default(), every_time_anew).await;
    for number in 0..4 {
        pair.deliver(&message(number)).await.unwrap();
    }
    let stats = pair.sink.stats();
    assert_eq!((stats.tls_sessions, stats.tls_resumed), (4, 3));
    assert_eq!((pair.stats().sessions_made(), pair.stats().tls_resumed()), (4, 3));

    let forgetful = pair_with(Script::default(), |target| {
        every_time_anew(target);
        let config = target.client_tls.as_ref().unwrap().config();
        let mut config = rustls::ClientConfig::clone(&config);
        config.resumption = rustls::client::Resumption::disabled();
        target.client_tls = Some(ClientTls::from(Arc::new(config)));
    });
    let forgetful = forgetful.await;
    for number in 0..2 {
        forgetful.deliver(&message(number)).await.unwrap();
    }
    let stats = forgetful.sink.stats();
    assert_eq!((stats.tls_sessions, stats.tls_resumed, forgetful.stats().tls_resumed()), (2, 0, 0));
}
