//! LMTP doors: on a Unix socket and on loopback, for several people at once.

use crate::set_up::{Mta, Stage, list};
use crate::transcript::Transcript;
use crate::world::{World, eventually};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tokenrelay::fault::State;
use tokenrelay::load::sink::Script;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use toml_edit::{DocumentMut, Table, value};

/// One more door of this machine for the engine `campaigns`.
pub fn add_door(file: &mut DocumentMut, bind: &str) {
    let mut door = Table::new();
    door["kind"] = value("lmtp");
    door["bind"] = value(bind);
    door["tls"] = value("none");
    door["accept"] = value("handoff");
    door["token_domains"] = list(&["tokens.example"]);
    door["engine"] = value("campaigns");
    file["listener"].as_array_of_tables_mut().unwrap().push(door);
}

pub struct Lmtp<S> {
    stream: BufReader<S>,
    transcript: Transcript,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lmtp<S> {
    pub async fn greeted(stream: S, world: &World) -> Self {
        let mut lmtp = Self { stream: BufReader::new(stream), transcript: world.transcript.clone() };
        assert!(lmtp.reply().await.contains(" LMTP "));
        lmtp.say("LHLO engine.example").await;
        lmtp
    }

    async fn say(&mut self, line: &str) -> String {
        self.stream.get_mut().write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    async fn reply(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.stream.read_line(&mut line).await.unwrap() > 0, "the door hung up");
            self.transcript.note(line.as_bytes());
            if line.as_bytes().get(3) == Some(&b' ') {
                return line.trim_end().to_owned();
            }
        }
    }

    /// The answers to one message for some people, in their order.
    pub async fn send(&mut self, to: &[String], message: &str) -> Vec<String> {
        self.say("MAIL FROM:<bounces@shop.example>").await;
        for address in to {
            assert!(self.say(&format!("RCPT TO:<{address}>")).await.starts_with("250"));
        }
        assert!(self.say("DATA").await.starts_with("354"));
        let mut answers = vec![self.say(&format!("{message}\r\n.")).await];
        while answers.len() < to.len() {
            answers.push(self.reply().await);
        }
        answers
    }
}

pub fn socket_path(world: &World) -> PathBuf {
    world.dir.path().join("lmtp.sock")
}

#[tokio::test]
async fn everybody_gets_their_own_message_over_a_unix_socket() {
    let mut world = Stage::new().edit(|file| add_door(file, "unix:lmtp.sock")).up().await;
    let stream = UnixStream::connect(socket_path(&world)).await.unwrap();
    let mut lmtp = Lmtp::greeted(stream, &world).await;
    let to: Vec<String> = world.people.iter().map(|person| person.address()).collect();
    for answer in lmtp.send(&to, &world.message(0)).await {
        assert!(answer.starts_with("250 2.0.0 Ok: relayed as s_"), "{answer}");
    }
    let messages = world.messages();
    assert_eq!(messages.len(), world.people.len());
    for person in &world.people {
        let theirs =
            messages.iter().find(|message| message.envelope.recipients == [person.value("email")]).unwrap();
        let text = String::from_utf8_lossy(&theirs.content);
        let others = world.people.iter().filter(|other| other.token != person.token);
        assert!(others.into_iter().all(|other| !text.contains(other.value("email"))), "nobody sees another");
    }
    drop(lmtp);
    world.stop().await;
    assert!(!socket_path(&world).exists(), "the socket goes with its door");
    world.finish().await;
}

#[tokio::test]
async fn a_merge_gives_everybody_their_own_values() {
    let world = Stage::new().edit(|file| add_door(file, "unix:lmtp.sock")).up().await;
    let mut lmtp = Lmtp::greeted(UnixStream::connect(socket_path(&world)).await.unwrap(), &world).await;
    lmtp.say("XMRG FROM:<bounces@shop.example>").await;
    for (number, order) in ["A-17", "{{last_name}} [order] <b>"].into_iter().enumerate() {
        for line in [
            format!("XDFN order=\"{order}\" *parts=1"),
            format!("RCPT TO:<{}>", world.people[number].address()),
        ] {
            assert!(lmtp.say(&line).await.starts_with("250"), "{line}");
        }
    }
    assert!(lmtp.say("XPRT 1 LAST").await.starts_with("354"));
    let message = world.message(0).replace("your order is", "your order [order] is");
    assert!(lmtp.say(&format!("{message}\r\n.")).await.starts_with("250 2.0.0"));
    assert!(lmtp.reply().await.starts_with("250 2.0.0"));
    for (number, order) in ["A-17", "{{last_name}} [order] <b>"].into_iter().enumerate() {
        let address = world.people[number].value("email");
        let messages = world.messages();
        let theirs = messages.iter().find(|message| message.envelope.recipients == [address]).unwrap();
        let parsed = mail_parser::MessageParser::default().parse(&theirs.content).unwrap();
        let text = parsed.body_text(0).unwrap().into_owned();
        assert!(text.contains(&format!("your order {order} is")), "the value as it came, not read again");
    }
    drop(lmtp);
    world.finish().await;
}

#[tokio::test]
async fn a_refusal_is_the_answer_for_its_recipient_only() {
    let script = Script::profile("accept").unwrap();
    let stage = Stage::new().mta(Mta::new("mta1", script)).column(1, "consent", "-service");
    let world = stage.edit(|file| add_door(file, "127.0.0.1:0")).up().await;
    let stream = TcpStream::connect(world.door("lmtp")).await.unwrap();
    let mut lmtp = Lmtp::greeted(stream, &world).await;
    let to: Vec<String> = [0, 1, 2].map(|person| world.people[person].address()).into();
    let message = format!("X-TokenRelay-Job-Id: c42-17\r\n{}", world.message(0));
    let first = lmtp.send(&to, &message).await;
    let codes: Vec<&str> = first.iter().map(|answer| &answer[..9]).collect();
    assert_eq!(codes, ["250 2.0.0", "550 5.7.1", "250 2.0.0"], "{first:?}");
    let again = lmtp.send(&to[2..], &message).await;
    let number = |answer: &str| answer[answer.find("s_").unwrap()..][..28].to_owned();
    assert_eq!(number(&again[0]), number(&first[2]), "tried again alone, the job keeps its number");
    let numbers: BTreeSet<String> = first.iter().map(|answer| number(answer)).collect();
    assert_eq!(numbers.len(), 3, "{first:?}");
    assert_eq!((world.settled(State::Relayed), world.settled(State::Suppressed)), (3, 1));
    world.finish().await;
}

/// A message for several is held as a whole where its door keeps jobs. What another door carries just now is not held beside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b10_a_message_for_several_is_not_held_while_another_door_carries_it() {
    let stage = Stage::new().accept("journal").mta(Mta::behaving("slow=200"));
    let world = stage.edit(|file| add_door(file, "127.0.0.1:0")).up().await;
    let mut lmtp = Lmtp::greeted(TcpStream::connect(world.door("lmtp")).await.unwrap(), &world).await;
    let to: Vec<String> = [0, 1].map(|person| world.people[person].address()).into();
    let message = format!("X-TokenRelay-Job-Id: c42-18\r\n{}", world.message(0));
    let mut smtp = world.smtp().await;
    smtp.say("MAIL FROM:<bounces@shop.example>").await.unwrap();
    for address in &to {
        assert_eq!(smtp.say(&format!("RCPT TO:<{address}>")).await.unwrap().code, 250);
    }
    assert_eq!(smtp.say("DATA").await.unwrap().code, 354);
    let carried = lmtp.send(&to, &message);
    let held = async {
        eventually("the target is asked", || world.sink().stats().sessions > 0).await;
        smtp.tell(format!("{message}\r\n.\r\n").as_bytes()).await.unwrap();
        smtp.hear().await.unwrap()
    };
    let (carried, held) = tokio::join!(carried, held);
    assert!(carried.iter().all(|answer| answer.starts_with("250 2.0.0")), "{carried:?}");
    assert_eq!(held.codes(), "250 2.0.0", "{held:?}");
    eventually("nothing is held", || world.rows("payload") == 0).await;
    assert_eq!(world.sink().stats().messages, 2, "{held:?}");
    world.finish().await;
}
