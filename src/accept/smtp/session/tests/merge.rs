//! The merge verbs by table.

use super::*;

#[test]
fn a_merge_gives_each_recipient_its_own_variables() {
    let mut stage = Stage::lmtp();
    assert!(stage.line("LHLO x").contains("250-XMRG") || stage.line("LHLO x").contains("250 XMRG"));
    stage.play(&[
        ("XDFN a=\"b\"", "503 5.5.1"),
        ("XMRG FROM:<bounce@shop.example>", "250 2.1.0"),
        ("XDFN order=\"A 17\" *parts=1", "250"),
        ("XDFN shop=\"one\" *jobid=\"c42\" *vmta=x", "250"),
        (RCPT, "250 2.1.5"),
        ("XDFN order=\"B 18\" *from=\"other@shop.example\"", "250"),
        ("RCPT TO:<e_22222222@tokens.example>", "250 2.1.5"),
        ("XPRT 1 LAST", "354"),
    ]);
    let sent = &stage.submitted[0];
    let [first, second] = sent.recipients.as_slice() else { panic!("two recipients") };
    assert_eq!(
        (&first.variables.data["order"], &first.variables.data["shop"]),
        (&"A 17".into(), &"one".into())
    );
    assert_eq!((first.variables.campaign.as_deref(), &first.variables.sender), (Some("c42"), &None));
    assert_eq!(second.variables.data["order"], "B 18");
    assert!(!second.variables.data.contains_key("shop"), "nothing of one recipient goes to the next");
    assert_eq!(second.variables.sender.as_deref(), Some("other@shop.example"));
    assert_eq!(sent.merged.as_ref().unwrap().len(), 2);
}

#[test]
fn a_merge_with_one_answer_has_one_recipient() {
    let mut stage = Stage::logged_in();
    assert!(stage.line("EHLO x").contains("XMRG"));
    stage.play(&[
        ("XMRG FROM:<>", "250"),
        ("XDFN order=A", "250"),
        (RCPT, "250"),
        ("XDFN order=B", "250"),
        ("RCPT TO:<e_22222222@tokens.example>", "452 4.5.3"),
        (RCPT, "452 4.5.3"),
        ("XPRT 1 LAST", "354"),
        (MAIL, "250"),
        (RCPT, "250"),
        ("DATA", "354"),
        (MAIL, "250"),
        (RCPT, "250"),
    ]);
    assert!(stage.submitted[1].merged.is_none());
    let said = stage.line("XPRT 1 LAST");
    assert!(said.starts_with("503 5.5.1") && said.ends_with("[closed]"), "{said}");
    let before_login = Stage::new(Channel::Encrypted).line("EHLO x");
    assert!(!before_login.contains("XMRG"));
}

#[test]
fn what_a_merge_cannot_do_is_refused() {
    let mut stage = Stage::logged_in();
    stage.play(&[
        ("XMRG FROM:<a@b.example>", "250"),
        ("XDFN *parts=\"1-2\"", "504 5.5.4"),
        ("XDFN *other=x", "501 5.5.4"),
        ("XDFN *from=nobody", "501 5.1.7"),
        ("XPRT 1 LAST", NOBODY),
        ("XMRG FROM:<a@b.example>", "250"),
        (RCPT, "250"),
    ]);
    let said = stage.line("XPRT 1");
    assert!(said.starts_with("504 5.5.4") && said.ends_with("[closed]"), "content may follow: {said}");
    let mut stage = Stage::logged_in();
    stage.play(&[("XMRG FROM:<>", "250"), (RCPT, "250"), ("BDAT 5 LAST", "503 5.5.1")]);
    for at in 0..8 {
        let line = format!("XDFN a=\"{}\"", "x".repeat(8_000));
        assert!(stage.line(&line).starts_with("250"), "{at}");
    }
    assert!(stage.line(&format!("XDFN a=\"{}\"", "x".repeat(8_000))).starts_with("552"));
}
