//! LMTP with real sockets: several recipients, one answer for each.

use super::*;
use tokio::net::{UnixListener, UnixStream};

const THREE: &str = "MAIL FROM:<bounce@shop.example>\r\nRCPT TO:<e_11111111@tokens.example>\r\n\
                     RCPT TO:<e_refused1@tokens.example>\r\nRCPT TO:<e_22222222@tokens.example>\r\n";
const MESSAGE: &str = "X-TokenRelay-Job-Id: c42-17\r\nSubject: x\r\n\r\nDear {{person.first_name}},\r\n";

fn own_door() -> Settings {
    let engine = Some("campaigns".into());
    Settings { protocol: Protocol::Lmtp, engine, ..settings(DoorTls::None) }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn replies(&mut self, count: usize) -> Vec<String> {
        let mut codes = Vec::new();
        for _ in 0..count {
            codes.push(self.reply().await.chars().take(9).collect());
        }
        codes
    }
}

#[tokio::test]
async fn every_recipient_has_a_job_and_an_answer() {
    let world = World::new(own_door()).await;
    let mut client = world.client().await;
    assert!(client.ask("LHLO mta.example").await.contains("250"));
    client.write(format!("{THREE}DATA\r\n")).await;
    assert_eq!(client.replies(5).await[..4], ["250 2.1.0", "250 2.1.5", "250 2.1.5", "250 2.1.5"]);
    client.write(format!("{MESSAGE}.\r\n")).await;
    assert_eq!(client.replies(3).await, ["250 2.0.0", "550 5.1.1", "250 2.0.0"]);
    client.write(format!("{THREE}BDAT {} LAST\r\n{MESSAGE}NOOP\r\n", MESSAGE.len())).await;
    assert_eq!(client.replies(8).await[4..], ["250 2.0.0", "550 5.1.1", "250 2.0.0", "250 2.0.0"]);
    client.write(format!("{THREE}DATA\r\n")).await;
    client.replies(5).await;
    client.write("no header\r\n.\r\n").await;
    assert_eq!(client.replies(3).await, ["550 5.6.0"; 3]);
    drop(client);
    let jobs = world.end().await;
    let mut sent: Vec<(&str, &str)> =
        jobs.iter().map(|job| (job.token.as_str(), job.send.as_str())).collect();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(jobs.len(), 6);
    assert_eq!(sent.len(), 3, "the same job of the same person keeps its number: {sent:?}");
    let numbers: std::collections::BTreeSet<&str> = sent.iter().map(|(_, send)| *send).collect();
    assert_eq!(numbers.len(), 3, "and no two people share one: {sent:?}");
}

#[tokio::test]
async fn answers_keep_their_order_and_jobs_do_not_wait_for_each_other() {
    let mut world = World::new(own_door()).await;
    let mut client = world.client().await;
    client.ask("LHLO x").await;
    client.write(THREE.replace("e_11111111", "e_waiting1") + "DATA\r\n").await;
    client.replies(5).await;
    client.write(format!("{MESSAGE}.\r\n")).await;
    while world.fake.jobs.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    world.fake.let_go.take().unwrap().send(()).unwrap();
    assert_eq!(client.replies(3).await, ["250 2.0.0", "550 5.1.1", "250 2.0.0"]);
    drop(client);
    assert_eq!(world.end().await.last().unwrap().token.as_str(), "e_waiting1");
}

#[tokio::test]
async fn in_a_full_house_the_jobs_of_a_message_go_one_by_one() {
    let world = World::new(own_door()).await;
    let mut held = Vec::new();
    while world.fake.gate.free() > 1 {
        held.push(world.fake.gate.enter(0).await);
    }
    let mut client = world.client().await;
    client.ask("LHLO x").await;
    client.write(format!("{THREE}BDAT {} LAST\r\n{MESSAGE}", MESSAGE.len())).await;
    assert_eq!(client.replies(7).await[4..], ["250 2.0.0", "550 5.1.1", "250 2.0.0"]);
    drop((client, held));
    assert_eq!(world.end().await.len(), 3);
}

#[tokio::test]
async fn a_defect_in_one_job_leaves_the_others_their_answers() {
    let world = World::new(own_door()).await;
    let mut client = world.client().await;
    client.ask("LHLO x").await;
    client.write(THREE.replace("e_refused1", "e_defect11") + "DATA\r\n").await;
    client.replies(5).await;
    client.write(format!("{MESSAGE}.\r\n")).await;
    assert_eq!(client.replies(3).await, ["250 2.0.0", "451 4.3.0", "250 2.0.0"]);
    drop(client);
    assert_eq!(world.end().await.len(), 2);
}

#[tokio::test]
async fn a_unix_socket_is_a_door_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmtp.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let world = World::on(listener, SocketAddr::from((LOOPBACK, 0)), own_door(), fake_house());
    let mut client = Client::greeted(UnixStream::connect(&path).await.unwrap()).await;
    assert!(client.ask("MAIL FROM:<>").await.starts_with("530"), "LHLO comes first");
    client.ask("LHLO x").await;
    assert!(client.send("e_11111111", MESSAGE).await.starts_with("250 2.0.0 Ok: relayed as s_"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert_eq!(world.end().await.len(), 1);
}

#[tokio::test]
async fn without_an_engine_of_its_own_the_door_asks_for_a_login() {
    let world = World::new(Settings { engine: None, ..own_door() }).await;
    let mut client = world.client().await;
    assert!(client.ask("LHLO x").await.contains("AUTH PLAIN LOGIN"));
    assert!(client.ask("MAIL FROM:<>").await.starts_with("530"));
    assert!(client.ask(LOGIN).await.starts_with("235"));
    assert!(client.send("e_11111111", MESSAGE).await.starts_with("250 2.0.0"));
    drop(client);
    world.end().await;
    let world = World::new(Settings { engine: Some("gone".into()), ..own_door() }).await;
    let mut client = world.client().await;
    client.ask("LHLO x").await;
    assert!(client.ask("MAIL FROM:<>").await.starts_with("530"), "an engine that was taken out");
    drop(client);
    world.end().await;
}
