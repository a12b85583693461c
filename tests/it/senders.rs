//! Whom an engine may write as, and who is not asked to write later.

use crate::set_up::{Stage, list};
use crate::world::World;
use serde_json::{Value, json};

async fn bound(senders: &'static [&'static str]) -> World {
    Stage::new().edit(|file| file["engine"][0]["senders"] = list(senders)).up().await
}

fn content(world: &World, id: &str, from: &str, reply_to: Option<&str>) -> Value {
    let mut job = world.job(0, id);
    job.as_object_mut().unwrap().remove("template");
    job["content"] = json!({"from": from, "subject": "x", "text": "x"});
    if let Some(reply_to) = reply_to {
        job["content"]["reply_to"] = json!(reply_to);
    }
    job
}

#[tokio::test]
async fn p10_an_engine_writes_as_its_senders_only() {
    let world = bound(&["shop.example", "*.brand.example", "ceo@other.example"]).await;
    let mut smtp = world.smtp().await;
    let (to, message) = (world.people[0].address(), world.message(0));
    let from = "From: Shop <shop@shop.example>\r\n";
    for (field, code) in [
        (from.to_owned(), "250 2.0.0"),
        ("From: Ceo <CEO@Other.Example>\r\n".into(), "250 2.0.0"),
        ("From: a@x.brand.example, b@shop.example\r\nSender: a@x.brand.example\r\n".into(), "250 2.0.0"),
        (format!("{from}Reply-To: {to}\r\n"), "250 2.0.0"),
        ("From: x@other.example\r\n".into(), "550 5.7.1"),
        ("From: \"shop@shop.example\" <x@evil.example>\r\n".into(), "550 5.7.1"),
        ("From: a@shop.example, x@evil.example\r\n".into(), "550 5.7.1"),
        ("From: shop\r\n".into(), "550 5.7.1"),
        (format!("{from}Sender: x@evil.example\r\n"), "550 5.7.1"),
        (format!("{from}Reply-To: x@evil.example\r\n"), "550 5.7.1"),
    ] {
        let reply = smtp.send(&to, &message.replace(from, &field)).await;
        assert_eq!(reply.codes(), code, "{field}: {reply:?}");
        if code.starts_with('5') {
            assert!(
                reply.text.contains("sender-not-granted")
                    && reply.text.contains("senders of this [[engine]]")
            );
        }
    }
    for (sender, code) in [("", 250), ("x@shop.example", 250), ("x@evil.example", 550)] {
        for command in [format!("MAIL FROM:<{sender}>"), format!("RCPT TO:<{to}>"), String::from("DATA")] {
            assert!(smtp.say(&command).await.unwrap().code < 400, "{command}");
        }
        assert_eq!(smtp.say(&format!("{message}\r\n.")).await.unwrap().code, code, "{sender}");
    }
    let mut http = world.http().await;
    for (number, (from, reply_to, state)) in [
        ("A <a@shop.example>", None, "relayed"),
        ("a@shop.example", Some("b@y.brand.example"), "relayed"),
        ("a@shop.example", Some("b@evil.example"), "rejected"),
        ("a@brand.example", None, "rejected"),
    ]
    .into_iter()
    .enumerate()
    {
        let result = http.post(&content(&world, &format!("c{number}"), from, reply_to)).await.json();
        assert_eq!(result["state"], state, "{from}: {result}");
        if state == "rejected" {
            assert_eq!(result["reason"], "sender-not-granted");
        }
    }
    // The template's own senders are the operator's.
    assert_eq!(http.post(&world.job(1, "t")).await.json()["state"], "relayed");
    world.finish().await;
}

#[tokio::test]
async fn p10_nobodys_software_is_asked_to_write_later() {
    let world = Stage::new().up().await;
    let asking = "Disposition-Notification-To: a@shop.example\r\nReturn-Receipt-To: a@shop.example\r\nErrors-To: a@shop.example\r\n\
                  X-Confirm-Reading-To: a@shop.example\r\nX-PMRQC: 1\r\nRead-Receipt-To: a@shop.example\r\nSubject: ";
    let message = world.message(0).replacen("Subject: ", asking, 1);
    let reply = world.smtp().await.send(&world.people[0].address(), &message).await;
    assert_eq!(reply.codes(), "250 2.0.0", "{reply:?}");
    let arrived = String::from_utf8_lossy(&world.messages()[0].content).to_lowercase();
    for name in ["disposition-notification", "receipt-to", "errors-to", "confirm-reading", "pmrqc"] {
        assert!(!arrived.contains(name), "{name}");
    }
    world.finish().await;
}
