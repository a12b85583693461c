//! A message that asks for TLS on its whole way (RFC 8689) goes only where that is promised.

use crate::set_up::{Mta, Stage};
use crate::smtp::{Reply, Smtp};
use crate::world::World;

async fn send_with(parameter: &str, smtp: &mut Smtp, world: &World) -> Reply {
    let to = world.people[0].address();
    for command in
        [&format!("MAIL FROM:<bounces@shop.example>{parameter}"), &format!("RCPT TO:<{to}>"), "DATA"]
    {
        assert!(smtp.say(command).await.unwrap().code < 400);
    }
    smtp.say(&format!("{}\r\n.", world.message(0))).await.unwrap()
}

#[tokio::test]
async fn the_promise_is_asked_of_the_first_mta() {
    let world = Stage::new().mta(Mta::behaving("requiretls")).up().await;
    let mut smtp = world.smtp().await;
    assert_eq!(send_with(" REQUIRETLS", &mut smtp, &world).await.codes(), "250 2.0.0");
    assert_eq!(send_with("", &mut smtp, &world).await.codes(), "250 2.0.0");
    let asked: Vec<bool> =
        world.messages().iter().map(|sunk| sunk.envelope.parameters.contains("REQUIRETLS")).collect();
    assert_eq!(asked, [true, false]);
    world.finish().await;
}

#[tokio::test]
async fn without_the_promise_nothing_is_sent() {
    let world = Stage::new().up().await;
    let mut smtp = world.smtp().await;
    assert_eq!(send_with(" REQUIRETLS", &mut smtp, &world).await.codes(), "550 5.7.30");
    assert!(world.messages().is_empty());
    assert_eq!(send_with("", &mut smtp, &world).await.codes(), "250 2.0.0");
    world.finish().await;
}
