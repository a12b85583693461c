//! The messages of a campaign: their common content is compiled once, and nothing of one shows in another.

use super::{OWN, dana, full};
use crate::fault::Fault;
use crate::job::{Content, Data, SendNumber, Token};
use crate::render::body::Transfer;
use crate::render::memo::Memo;
use crate::render::plan::{Moment, Plan, RenderRequest};
use crate::render::renderer::{Renderer, Settings};
use proptest::prelude::*;
use std::time::SystemTime;

fn rendered(plan: &Plan, token: &str) -> Result<Vec<u8>, Fault> {
    let data = Data::new();
    let finished = plan.render(&RenderRequest {
        person: &dana(),
        token: &Token::from_local(token).unwrap(),
        data: &data,
        send: &SendNumber::from_bits([7; 16]),
        campaign: None,
        sender: None,
        transfer: Transfer::EightBit,
        may_reveal: &|_| true,
        size_max: 1 << 20,
        now: &Moment::at(SystemTime::UNIX_EPOCH),
    })?;
    Ok(finished.message.to_octets().to_vec())
}

fn renderer() -> Renderer {
    let token_domains = vec![String::from("tokens.example")];
    Renderer::load(Settings { token_domains, ..Settings::default() }).unwrap()
}

/// As an engine writes the message with this number: its own recipient, date, ids and boundaries.
fn of_campaign(number: usize, text: &str) -> Vec<u8> {
    let (outer, inner) = (format!("----=_Part_{number}_{}", number * 7), format!("=={number:016}=="));
    format!(
        "Received: from engine (localhost [127.0.0.1]) by engine.example id {number};\r\n Thu, 1 Jan 2026 00:00:00 +0000\r\n\
         Date: Thu, 1 Jan 2026 00:00:{:02} +0000\r\nMIME-Version: 1.0\r\nFrom: Shop <news@shop.example>\r\n\
         To: <e_{number:010}@tokens.example>\r\nSubject: {{{{person.first_name}}}}, your order {number}\r\n\
         Content-Type: multipart/mixed;\r\n\tboundary=\"{outer}\"\r\nMessage-ID: <{number}.x@engine.example>\r\n\
         List-Unsubscribe: <https://engine.example/u/{number}>\r\nX-Mailer-Id: {number}\r\n\r\n\
         --{outer}\r\nContent-Type: multipart/alternative; boundary={inner}\r\n\r\n--{inner}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text} {{{{person.first_name}}}}\r\n--{inner}\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<p>{text} {{{{person.first_name}}}}</p>\r\n--{inner}--\r\n\r\n\
         --{outer}\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--{outer}--\r\n",
        number % 60,
    )
    .into_bytes()
}

#[test]
fn a_thousand_messages_with_one_content_compile_one_plan() {
    let renderer = renderer();
    for number in 0..1_000 {
        let plan = renderer.plan(&Content::Message(of_campaign(number, "Dear").into()), None).unwrap();
        let message = rendered(&plan, &format!("e_{number:010}")).unwrap();
        let parsed = full(&message);
        assert_eq!(parsed.subject().unwrap(), format!("דנה, your order {number}"));
        assert_eq!(parsed.message_id().unwrap(), format!("{number}.x@engine.example"));
        assert_eq!(parsed.to().unwrap().first().unwrap().address(), Some("dana@example.test"));
        assert_eq!(parsed.body_text(0).unwrap(), "Dear דנה");
        assert_eq!(parsed.body_html(0).unwrap(), "<p>Dear דנה</p>");
        assert_eq!(parsed.attachment(0).unwrap().contents(), b"%PDF-");
        let text = String::from_utf8(message).unwrap();
        assert_eq!(text.matches(&format!("----=_Part_{number}_{}", number * 7)).count(), 4);
        assert_eq!(text.matches(&format!("=={number:016}==")).count(), 4);
    }
    assert_eq!(renderer.plans_compiled(), 1);
    renderer.plan(&Content::Message(of_campaign(1, "Other").into()), None).unwrap();
    assert_eq!(renderer.plans_compiled(), 2);
}

#[test]
fn what_is_signed_keeps_its_own_boundaries() {
    let signed = |boundary: &str| {
        format!(
            "From: n@shop.example\r\nContent-Type: multipart/signed; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain\r\n\r\nx\r\n--{boundary}\r\n\r\nsignature\r\n--{boundary}--\r\n"
        )
        .into_bytes()
    };
    let memo = Memo::new(1 << 20);
    for boundary in ["first0", "second1"] {
        let plan = Plan::from_message(&signed(boundary), &|_| None, &memo).unwrap();
        let sent = rendered(&plan, OWN).unwrap();
        assert!(String::from_utf8(sent).unwrap().ends_with(&format!("signature\r\n--{boundary}--\r\n")));
    }
    assert_eq!(memo.plans_compiled(), 2);
}

/// Texts with `<0>` and `<1>` wherever the first or the second boundary may stand.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=\"<0>\"\r\n",
        "Content-Type: multipart/alternative; boundary=<1>; x=<0>\r\n",
        "Content-Type: multipart/mixed; boundary*=utf-8''<0>\r\n",
        "Content-Type: multipart/mixed; boundary=<0>; charset=<0>\r\n",
        "Content-Type: multipart/signed; boundary=<1>\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
        "Content-Type: text/plain; charset=<0>\r\n",
        "Content-Transfer-Encoding: base64\r\n",
        "Content-<0>: {{send.number}}\r\n",
        "Subject: {{data.<1>}} <0>\r\n",
        "To: <1>@tokens.example\r\n",
        "\r\n",
        "\r\n--<0>\r\n",
        "\r\n--<0>\r\n\r\n",
        "\r\n--<1>\r\n\r\n",
        "--<0>--\r\n",
        "--<1>--\r\n",
        "--<0><1>\r\n",
        "<0>{{person.<1>}}\r\n",
        "{{#if person.<0>}}<1>{{/if}}",
        "text <0>\r\n",
        "--",
    ])
}

/// Pieces in any order, or about what engines write with pieces in it.
fn skeleton() -> impl Strategy<Value = String> {
    let pieces = || prop::collection::vec(piece(), 0..3).prop_map(|pieces| pieces.concat());
    let any_order = prop::collection::vec(piece(), 1..12).prop_map(|pieces| pieces.concat());
    let like_an_engine =
        (pieces(), pieces(), pieces(), pieces(), any::<bool>()).prop_map(|(a, b, c, d, is_signed)| {
            let outer = if is_signed { "signed" } else { "mixed" };
            format!(
                "Content-Type: multipart/{outer}; boundary=\"<0>\"\r\n\r\n{a}\r\n--<0>\r\n\
             Content-Type: multipart/alternative;\r\n boundary=<1>\r\n\r\n--<1>\r\n\r\n\
             {{{{person.first_name}}}}{b}\r\n--<1>\r\n\r\n{c}\r\n--<1>--\r\n{d}\r\n--<0>--\r\n"
            )
        });
    prop_oneof![1 => any_order, 2 => like_an_engine]
}

fn boundaries() -> impl Strategy<Value = (&'static str, &'static str)> {
    let boundary = || {
        let odd = prop::sample::select(vec![
            "b--",
            "--b",
            "-",
            "--",
            "first_name",
            "last_name",
            "utf-8",
            "e_0123456789",
            "x=",
            "=?",
            "mixed",
            "boundary=b",
        ]);
        prop_oneof![1 => prop::sample::select(vec!["b", "bb", "a.b", "0", "==x=="]), 1 => odd]
    };
    (boundary(), boundary())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// However messages follow each other, each is as if it had come alone.
    #[test]
    fn what_is_known_changes_nothing(
        skeletons in prop::collection::vec(skeleton(), 1..3),
        sequence in prop::collection::vec((any::<prop::sample::Index>(), boundaries()), 1..8),
    ) {
        let memo = Memo::new(1 << 20);
        let domains = [String::from("tokens.example")];
        let token_of = |address: &str| Token::from_address(address, &domains).ok();
        for (index, (first, second)) in sequence {
            let tail = index.get(&skeletons).replace("<0>", first).replace("<1>", second);
            let raw = format!("From: n@shop.example\r\n{tail}");
            let known = Plan::from_message(raw.as_bytes(), &token_of, &memo);
            let alone = Plan::from_message(raw.as_bytes(), &token_of, &Memo::new(0));
            match (known, alone) {
                (Ok(known), Ok(alone)) => {
                    let fields = |plan: &Plan| plan.person_fields().map(str::to_owned).collect::<Vec<_>>();
                    prop_assert_eq!(fields(&known), fields(&alone), "{}", &raw);
                    let (known, alone) = (rendered(&known, OWN), rendered(&alone, OWN));
                    match (known, alone) {
                        (Ok(known), Ok(alone)) => prop_assert_eq!(known, alone, "{}", &raw),
                        (known, alone) => prop_assert_eq!(known.unwrap_err().detail, alone.unwrap_err().detail),
                    }
                }
                (known, alone) => prop_assert_eq!(known.unwrap_err().detail, alone.unwrap_err().detail),
            }
        }
    }
}
