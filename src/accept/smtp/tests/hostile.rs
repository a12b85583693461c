//! Clients that smuggle, stall or do not listen, over an in-memory stream with paused time.

use super::*;
use crate::accept::smtp::connection::{Conversation, Ended};
use crate::accept::smtp::serve::Door;
use crate::accept::smtp::session::{Channel, Event};
use crate::accept::smtp::sources::Source;
use tokio::io::{DuplexStream, duplex};

/// A session over an in-memory stream.
fn in_memory(settings: Settings) -> (FakeHouse, DuplexStream, JoinHandle<Ended>) {
    let fake = fake_house();
    let door = Arc::new(Door::new(settings, fake.house.clone()));
    let (client, mut server) = duplex(4096);
    let session = tokio::spawn(async move {
        let place = door.place(Source::MACHINE).unwrap();
        let mut conversation = Conversation::new(door, (Source::MACHINE, place), Channel::Encrypted);
        conversation.converse(&mut server, Event::Connected).await
    });
    (fake, client, session)
}

fn message_of(job: &Job) -> String {
    match &job.content {
        Content::Message(message) => String::from_utf8_lossy(message).into_owned(),
        Content::Template(_) | Content::Inline(_) => panic!("not a message"),
    }
}

/// The sequences of one message that try to bring in a second, as a whole and cut in two.
#[tokio::test(start_paused = true)]
async fn nothing_is_smuggled_through_a_session() {
    const ENDS: [&str; 8] = ["\r\n", "\n", "\r", "\r\r", "\n\n", "\n\r", "\r\r\n", "\r\0\n"];
    let pairs = ENDS.iter().flat_map(|before| ENDS.iter().map(move |after| (*before, *after)));
    let both = [BareLf::Normalize, BareLf::Refuse];
    for ((before, after), bare_lf) in pairs.flat_map(|pair| both.map(|bare_lf| (pair, bare_lf))) {
        let is_fit = bare_lf == BareLf::Normalize
            && ![before, after].iter().any(|end| end.replace("\r\n", "").contains(['\r', '\0']));
        let is_true_end = before == "\r\n" && after == "\r\n";
        let smuggled = TO_DATA.replace("e_11111111", "e_22222222");
        let content = format!("Subject: x\r\n\r\ntext{before}.{after}{smuggled}Subject: y\r\n\r\n\r\n.\r\n");
        for cut in [0, 18, 19, 20, 21, 22, content.len()] {
            let (fake, stream, session) = in_memory(Settings { bare_lf, ..settings(DoorTls::None) });
            let mut client = Client::greeted(stream).await;
            client.log_in().await;
            client.write(TO_DATA).await;
            for expected in ["250", "250", "354"] {
                assert!(client.reply().await.starts_with(expected));
            }
            client.write(&content[..cut]).await;
            tokio::task::yield_now().await;
            client.write(&content[cut..]).await;
            let answer = client.reply().await;
            let jobs =
                || fake.jobs.lock().unwrap().iter().map(|job| job.token.to_string()).collect::<Vec<_>>();
            if is_true_end {
                // What follows the true end are commands, whoever wrote them.
                assert!(answer.starts_with("250 2.0.0") && jobs()[0] == "e_11111111");
            } else if is_fit {
                assert!(answer.starts_with("250 2.0.0"), "{}: {answer}", content.escape_debug());
                assert_eq!(jobs(), ["e_11111111"]);
                let message = message_of(&fake.jobs.lock().unwrap()[0]);
                assert!(!message.replace("\r\n", "").contains(['\r', '\n']));
            } else {
                assert!(answer.starts_with("554 5.5.2"), "{}: {answer}", content.escape_debug());
                assert_eq!(client.rest().await, "");
                assert!(jobs().is_empty());
            }
            drop(client);
            session.await.unwrap();
        }
    }
}

/// A client in the middle of a large message: it hears the answer behind its end, not a broken connection in it.
#[tokio::test(start_paused = true)]
async fn b2_unfit_content_is_answered_at_its_end() {
    for (unfit, cause) in
        [("bare\nlf", "554 5.5.2 bare LF"), ("cr\ronly", "554 5.5.2 bare CR"), ("nul\0", "554 5.5.2 NUL")]
    {
        let refusing = Settings { bare_lf: BareLf::Refuse, ..settings(DoorTls::None) };
        let (fake, stream, session) = in_memory(refusing);
        let mut client = Client::greeted(stream).await;
        client.log_in().await;
        client.write(TO_DATA).await;
        for expected in ["250", "250", "354"] {
            assert!(client.reply().await.starts_with(expected));
        }
        // More than the stream holds: it is written only if it is read.
        client.write(format!("Subject: x\r\n\r\n{unfit}\r\n{}.\r\n", "a line\r\n".repeat(15_000))).await;
        assert!(client.reply().await.starts_with(cause));
        assert_eq!(client.rest().await, "", "and the session is over");
        assert!(fake.jobs.lock().unwrap().is_empty());
        session.await.unwrap();
    }
}

/// No end in sight: the answer comes all the same, within bounds.
#[tokio::test(start_paused = true)]
async fn b2_unfit_content_without_end_is_answered_soon() {
    for (content, cause, within) in [
        ("a\nb".to_owned(), "554 5.5.2 bare LF", 11),
        ("a\rb\n.\n".to_owned(), "554 5.5.2 bare CR", 11),
        ("a\nb\n.\n".to_owned(), "554 5.5.2 a dot alone", 31),
        (format!("a\rb{}", "x\r\n".repeat(300_000)), "554 5.5.2 bare CR", 1),
    ] {
        let bare_lf = if cause.contains("bare LF") { BareLf::Refuse } else { BareLf::Normalize };
        let (_, stream, session) = in_memory(Settings { bare_lf, ..settings(DoorTls::None) });
        let mut client = Client::greeted(stream).await;
        client.log_in().await;
        client.write(TO_DATA).await;
        for expected in ["250", "250", "354"] {
            assert!(client.reply().await.starts_with(expected));
        }
        let began = tokio::time::Instant::now();
        client.write(content).await;
        let answer = client.reply().await;
        assert!(answer.starts_with(cause), "{answer}");
        assert!(began.elapsed() < Duration::from_secs(within), "{cause}: {:?}", began.elapsed());
        drop(client);
        session.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn b2_unfit_chunks_are_answered_with_the_last() {
    let (fake, stream, session) = in_memory(settings(DoorTls::None));
    let mut client = Client::greeted(stream).await;
    client.log_in().await;
    client.write(TO_DATA.replace("DATA\r\n", "")).await;
    client.write("BDAT 5\r\na\rb\r\nBDAT 3\r\nc\r\nBDAT 0 LAST\r\n").await;
    for expected in ["250", "250", "250", "250", "554 5.5.2 bare CR"] {
        let answer = client.reply().await;
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert!(fake.jobs.lock().unwrap().is_empty());
    drop(client);
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lines_that_do_not_end_in_crlf_end_the_session() {
    for (line, expected) in
        [("NOOP\n", "500 5.5.2 bare LF"), ("NO\rOP\r\n", "500 5.5.2 bare CR"), ("\0", "500 5.5.2 NUL")]
    {
        let (_, stream, session) = in_memory(settings(DoorTls::None));
        let mut client = Client::greeted(stream).await;
        client.write(format!("{line}NOOP\r\n")).await;
        let said = client.rest().await;
        assert!(said.starts_with(expected) && said.lines().count() == 1, "{said}");
        drop(client);
        assert_eq!(session.await.unwrap(), Ended::Closed);
    }
    let (_, stream, session) = in_memory(settings(DoorTls::None));
    let mut client = Client::greeted(stream).await;
    client.write("x".repeat(100_000)).await;
    assert!(client.rest().await.starts_with("500 5.5.6"));
    drop(client);
    session.await.unwrap();
}

/// Every phase, with a client that goes silent, sends a byte every ten seconds, or reads no reply.
#[tokio::test(start_paused = true)]
async fn slow_clients_are_sent_away_in_every_phase() {
    for (prologue, drip, expected, within) in [
        ("", "", "421 4.3.2", 61),
        ("", "x", "421 4.4.2", 41),
        ("EHLO x\r\n", "NOOP\r\n", "421 4.3.2", 61),
        ("EHLO x\r\nAUTH LOGIN\r\n", "Y", "421 4.4.2", 41),
        (&*format!("EHLO x\r\n{LOGIN}\r\n"), "", "421 4.4.2", 301),
        (&*format!("EHLO x\r\n{LOGIN}\r\n{TO_DATA}"), "", "421 4.4.2", 301),
        (&*format!("EHLO x\r\n{LOGIN}\r\n{TO_DATA}"), "a: b\r\n", "421 4.4.2", 601),
        (
            &*format!("EHLO x\r\n{LOGIN}\r\n{}BDAT 1000\r\n", TO_DATA.replace("DATA\r\n", "")),
            "x",
            "421 4.4.2",
            601,
        ),
    ] {
        let (fake, stream, session) = in_memory(settings(DoorTls::None));
        let began = tokio::time::Instant::now();
        let (mut read, mut write) = tokio::io::split(stream);
        write.write_all(prologue.as_bytes()).await.unwrap();
        let dripping = tokio::spawn(async move {
            while write.write_all(drip.as_bytes()).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(10)).await;
            }
        });
        let mut said = String::new();
        read.read_to_string(&mut said).await.unwrap();
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with(expected), "{prologue:?} {drip:?}: {last}");
        assert!(began.elapsed() <= Duration::from_secs(within), "{prologue:?}: {:?}", began.elapsed());
        dripping.abort();
        drop(read);
        session.await.unwrap();
        assert!(fake.jobs.lock().unwrap().is_empty() && fake.gate.free() == 100);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_reply_is_dropped() {
    let (_, mut stream, session) = in_memory(settings(DoorTls::None));
    let noops = "NOOP\r\n".repeat(1900);
    let _ = tokio::time::timeout(Duration::from_secs(31), stream.write_all(noops.as_bytes())).await;
    assert_eq!(session.await.unwrap(), Ended::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_full_house_holds_back_the_answer() {
    let (fake, stream, session) = in_memory(settings(DoorTls::None));
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(fake.gate.enter(1).await);
    }
    let mut client = Client::greeted(stream).await;
    client.log_in().await;
    client.write(TO_DATA).await;
    for expected in ["250", "250", "354"] {
        assert!(client.reply().await.starts_with(expected));
    }
    client.write("Subject: x\r\n\r\nhi\r\n.\r\n").await;
    assert!(tokio::time::timeout(Duration::from_secs(60), client.reply()).await.is_err());
    held.pop();
    assert!(client.reply().await.starts_with("250 2.0.0 Ok: relayed"));
    drop(client);
    session.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_crowded_door_waits_less() {
    let mut narrow = settings(DoorTls::None);
    narrow.limits.connections_max = 8;
    let door = Door::new(narrow, fake_house().house);
    let usual = Duration::from_secs(60);
    let mut places: Vec<_> = (0..6).map(|_| door.place(Source::MACHINE).unwrap()).collect();
    assert_eq!(door.patience(usual), usual);
    places.push(door.place(Source::MACHINE).unwrap());
    assert_eq!(door.patience(usual), usual / 4);
    assert_eq!((door.share(1000), door.share(1)), (250, 1));
    let stranger = Source::from(IpAddr::from([192, 0, 2, 1]));
    assert!(door.place(stranger).is_err(), "clear text is for the machine itself");
}

#[tokio::test]
async fn a_connection_has_its_share_of_octets() {
    let mut narrow = settings(DoorTls::None);
    narrow.limits.octets_per_connection_max = 2_000;
    let world = World::new(narrow).await;
    let mut client = world.client_in().await;
    let message = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(900));
    assert!(client.send("e_11111111", &message).await.starts_with("250 2.0.0"));
    assert!(client.send("e_11111111", &message).await.starts_with("250 2.0.0"), "what has begun is taken");
    assert!(client.rest().await.starts_with("421 4.7.0"));
    world.end().await;
}

#[tokio::test]
async fn a_source_has_its_share_of_messages_and_octets_however_often_it_connects() {
    for (messages, octets) in [(2, u64::MAX), (1_000, 2_500)] {
        let mut narrow = settings(DoorTls::None);
        narrow.limits.messages_per_source_per_minute_max = messages;
        narrow.limits.octets_per_source_per_minute_max = octets;
        let world = World::new(narrow).await;
        let message = format!("Subject: x\r\n\r\n{}\r\n", "x".repeat(700));
        for _ in 0..2 {
            let mut client = world.client_in().await;
            assert!(client.send("e_11111111", &message).await.starts_with("250 2.0.0"));
            client.ask("QUIT").await;
        }
        let mut client = world.client_in().await;
        assert!(
            client.send("e_11111111", &message).await.starts_with("250 2.0.0"),
            "what has begun is taken"
        );
        assert!(client.rest().await.starts_with("421 4.7.1 enough octets or messages from your address"));
        let mut client = Client(TcpStream::connect(world.address).await.unwrap(), Vec::new());
        assert!(client.rest().await.starts_with("421 4.7.1"));
        drop(client);
        assert_eq!(world.end().await.len(), 3);
    }
}

#[tokio::test]
async fn content_that_broke_off_is_charged_as_well() {
    let mut narrow = settings(DoorTls::None);
    narrow.limits.octets_per_source_per_minute_max = 50_000;
    let world = World::new(narrow).await;
    let mut client = world.client_in().await;
    client.write(TO_DATA).await;
    client.write("x: y\r\n".repeat(10_000)).await;
    client.0.shutdown().await.unwrap();
    client.rest().await;
    drop(client);
    let refused = loop {
        let mut client = Client(TcpStream::connect(world.address).await.unwrap(), Vec::new());
        let said = client.reply().await;
        if !said.starts_with("220") {
            break said;
        }
    };
    assert!(refused.starts_with("421 4.7.1"), "{refused}");
    world.end().await;
}

/// Content of a client that did not wait for the answer to DATA, whatever it begins with and however it is cut: none
/// of it is obeyed, and the session goes on only behind its true end.
#[tokio::test(start_paused = true)]
async fn content_behind_a_refused_data_is_never_obeyed() {
    let smuggled = TO_DATA.replace("e_11111111", "e_22222222") + "Subject: y\r\n\r\ny\r\n.\r\n";
    let refused = TO_DATA.replace("e_11111111", "e_unknown1");
    let too_large = refused.replace("shop.example>", "shop.example> SIZE=999999");
    for (envelope, goes_on) in
        [(&*refused, true), (&*too_large, false), ("DATA\r\n", false), ("RSET\r\nDATA\r\n", false)]
    {
        for content in ["RSET\r\n", "NOOP\r\n", "MAIL FROM:<a@b.example>\r\n", "Subject: x\r\n\r\n", ""] {
            // Without a dot of its own before it, what is smuggled is content to its own dot.
            let stream = format!("{envelope}{content}{smuggled}");
            for cut in [envelope.len(), envelope.len() + content.len(), envelope.len() - 1, stream.len()] {
                let (fake, pipe, session) = in_memory(settings(DoorTls::None));
                let mut client = Client::greeted(pipe).await;
                client.log_in().await;
                client.write(&stream[..cut]).await;
                // The refusal has left before the rest comes.
                tokio::time::sleep(Duration::from_millis(50)).await;
                client.write(&stream[cut..]).await;
                client.write("NOOP\r\nQUIT\r\n").await;
                let said = client.rest().await;
                assert!(fake.jobs.lock().unwrap().is_empty(), "{}: {said}", stream.escape_debug());
                assert_eq!(said.contains("554 5.5.1 no valid recipients"), goes_on, "{said}");
                let goes_on = goes_on && !content.starts_with("RSET");
                assert_eq!(said.contains("221 2.0.0"), goes_on, "{}: {said}", stream.escape_debug());
                drop(client);
                session.await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_waited_ends_unwanted_content_with_a_dot() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    for _ in 0..3 {
        client.write(TO_DATA.replace("e_11111111", "e_unknown1")).await;
        for expected in ["250", "550 5.1.1", "354"] {
            assert!(client.reply().await.starts_with(expected));
        }
        assert!(client.ask(".").await.starts_with("554 5.5.1 no valid recipients"));
    }
    assert!(client.send("e_11111111", "Subject: x\r\n\r\nhi\r\n").await.starts_with("250 2.0.0"));
    drop(client);
    assert_eq!(world.end().await.len(), 1);
}

/// Some clients do not know the dot that ends unwanted content, and say QUIT.
#[tokio::test]
async fn a_client_that_says_good_bye_in_place_of_unwanted_content_is_let_go() {
    let world = World::new(settings(DoorTls::None)).await;
    for pieces in [&["QUIT\r\n"][..], &["QU", "it\r", "\n"], &["RSET\r\nMAIL FROM:<a@b.example>\r\n"]] {
        let mut client = world.client_in().await;
        client.write(TO_DATA.replace("e_11111111", "e_unknown1")).await;
        for expected in ["250", "550 5.1.1", "354"] {
            assert!(client.reply().await.starts_with(expected));
        }
        for piece in pieces {
            client.write(piece).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(client.rest().await, "554 5.5.1 no valid recipients\r\n");
    }
    assert!(world.end().await.is_empty());
}

/// Its replies wait for it for a while: a client is idle from when it has them, and not from when they were written.
#[tokio::test(start_paused = true)]
async fn who_is_slow_to_read_has_its_time_to_speak_all_the_same() {
    let mut hasty = settings(DoorTls::None);
    (hasty.limits.idle_max, hasty.limits.write_max) = (Duration::from_secs(20), Duration::from_secs(30));
    let (_fake, stream, session) = in_memory(hasty);
    let mut client = Client::greeted(stream).await;
    client.log_in().await;
    let many = 600;
    client.write("NOOP\r\n".repeat(many)).await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    for _ in 0..many {
        assert!(client.reply().await.starts_with("250"));
    }
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(client.ask("NOOP").await.starts_with("250"));
    tokio::time::sleep(Duration::from_secs(21)).await;
    assert!(client.rest().await.starts_with("421"));
    assert_eq!(session.await.unwrap(), Ended::Closed);
}
