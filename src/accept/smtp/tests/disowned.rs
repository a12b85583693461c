//! What a reload takes from an engine it takes from its sessions too.

use super::*;

const MAIL: &str = "MAIL FROM:<bounce@shop.example>";
const RCPT: &str = "RCPT TO:<e_11111111@tokens.example>";
const CONTENT: &str = "Subject: x\r\n\r\nhi\r\n.\r\n";

fn reload(world: &World, engines: Vec<Engine>) {
    world.fake.engines.send_replace(Arc::new(Engines::new(engines.into_iter().map(Arc::new).collect())));
}

#[tokio::test]
async fn a_session_ends_with_the_credential_that_opened_it() {
    for left in [vec![], vec![engine(b"n3w")]] {
        let world = World::new(settings(DoorTls::None)).await;
        let (mut idle, mut sending) = (world.client_in().await, world.client_in().await);
        assert!(sending.send("e_11111111", "Subject: x\r\n\r\nhi\r\n").await.starts_with("250"));
        sending.write(TO_DATA).await;
        for expected in ["250", "250", "354"] {
            assert!(sending.reply().await.starts_with(expected));
        }
        reload(&world, left);
        idle.write(format!("{MAIL}\r\n{RCPT}\r\nDATA\r\n")).await;
        assert!(idle.rest().await.contains("421 4.7.0 your login does not hold any more"));
        sending.write(CONTENT).await;
        assert!(sending.rest().await.starts_with("421 4.7.0"), "not taken");
        assert_eq!(world.end().await.len(), 1);
    }
}

#[tokio::test]
async fn a_session_goes_on_with_the_grants_of_now() {
    let world = World::new(settings(DoorTls::None)).await;
    let mut client = world.client_in().await;
    reload(&world, vec![Engine { purposes: vec!["news".into()], ..engine(b"s3cret") }]);
    assert!(client.send("e_11111111", "Subject: x\r\n\r\nhi\r\n").await.starts_with("250"));
    drop(client);
    assert_eq!(world.end().await[0].engine.purposes, ["news"]);
}
