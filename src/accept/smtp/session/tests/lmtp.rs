//! LMTP by table.

use super::*;

#[test]
fn lmtp_has_its_own_greeting_and_takes_no_other() {
    let mut stage = Stage::of(Policy { protocol: Protocol::Lmtp, ..policy() }, Channel::Encrypted);
    stage.play(&[
        ("EHLO x", "500 5.5.1"),
        ("HELO x", "500 5.5.1"),
        ("LHLO x", "250-relay.example"),
        (MAIL, "530 5.7.0"),
        (LOGIN, "235"),
        (MAIL, "250"),
    ]);
    let said = stage.line("DATA");
    assert!(said.starts_with("503 5.5.1") && said.ends_with("[closed]"), "{said}");
    let mut open = Stage::of(Policy { protocol: Protocol::Lmtp, ..policy() }, Channel::Clear);
    open.session.recognise(Some(engine()));
    open.play(&[
        ("LHLO x", "250"),
        (MAIL, "530 5.7.0"),
        ("STARTTLS", "220"),
        ("LHLO x", "250"),
        (MAIL, "250"),
    ]);
}

#[test]
fn lmtp_answers_for_each_recipient_in_their_order() {
    const REFUSED: &str = "RCPT TO:<e_refused1@tokens.example>";
    for (content, prefix) in [("DATA", "354 end data with <CR><LF>.<CR><LF>\r\n"), ("BDAT 0 LAST", "")] {
        let mut stage = Stage::lmtp();
        stage.play(&[
            (MAIL, "250"),
            (REFUSED, "250 2.1.5"),
            ("RCPT TO:<e_unknown1@tokens.example>", "550 5.1.1"),
            (RCPT, "250 2.1.5"),
            (REFUSED, "250 2.1.5"),
            ("RCPT TO:<e_22222222@tokens.example>", "452 4.5.3"),
            (REFUSED, "452 4.5.3"),
        ]);
        let said = stage.line(content);
        let codes: Vec<&str> = said.strip_prefix(prefix).unwrap().lines().map(|line| &line[..9]).collect();
        assert_eq!(codes, ["550 5.1.1", "250 2.0.0", "550 5.1.1"], "{said}");
        let tokens = stage.submitted[0].recipients.iter().map(|recipient| recipient.token.as_str());
        assert_eq!(tokens.collect::<Vec<_>>(), ["e_refused1", "e_11111111"], "one job a person");
        stage.play(&[(MAIL, "250")]);
    }
}

#[test]
fn lmtp_refuses_content_once_for_each_recipient() {
    let two = [(MAIL, "250"), (RCPT, "250"), ("RCPT TO:<e_22222222@tokens.example>", "250")];
    let mut stage = Stage::lmtp();
    stage.play(&two);
    stage.content = Err(Unread::TooLarge);
    assert_eq!(stage.line("DATA").matches("552 5.3.4").count(), 2);
    stage.play(&two);
    assert_eq!(stage.line("BDAT 5").matches("552 5.3.4").count(), 1, "only the last chunk has many answers");
    stage.play(&two);
    assert_eq!(stage.line("BDAT 1001 LAST").matches("552 5.3.4").count(), 2);
    let mut session = Stage::lmtp().session;
    session.state = State::Settling(engine(), vec![0, 1, 0]);
    let step = session.handle(Event::Refused(Fault::new(Reason::BadJob, "the message is empty")));
    assert_eq!((step.reply.iter().count(), step.more.len()), (1, 2));
}
