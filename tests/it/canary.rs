//! Breaks on purpose what a world checks at its end: a check that cannot fail proves nothing.

use crate::set_up::Stage;
use crate::world::World;
use tokenrelay::job::SendNumber;

/// How a world's end failed.
async fn complaint(world: World) -> String {
    let failed = tokio::spawn(world.finish()).await.expect_err("the check fails");
    let panic = failed.into_panic();
    panic
        .downcast_ref::<String>()
        .cloned()
        .unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_world_is_finished_without_complaint() {
    let world = Stage::new().up().await;
    let answer = world.http().await.post(&world.job(0, "a")).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &"relayed".into()), "{}", answer.text);
    assert_eq!(world.smtp().await.send(&world.people[1].address(), &world.message(1)).await.code, 250);
    let messages = world.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[1].envelope.recipients, [world.people[1].value("email")]);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_dropped_unsettled_is_noticed() {
    let world = Stage::new().up().await;
    drop(world.board.issue(SendNumber::fresh()));
    let complaint = complaint(world).await;
    assert!(complaint.contains("recipients were lost"), "{complaint}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_personal_value_is_noticed_wherever_it_is_written() {
    for place in ["file", "log", "answer", "key"] {
        let world = Stage::new().up().await;
        let name = world.people[2].value("last_name").to_owned();
        match place {
            "file" => std::fs::write(world.dir.path().join("state/left-behind"), &name).unwrap(),
            "log" => logged(&data_encoding::HEXLOWER.encode(name.as_bytes())),
            "key" => {
                logged(&data_encoding::BASE64.encode(format!("\0campaigns\0{}", world.secret).as_bytes()))
            }
            _ => world.transcript.note(format!("550 5.1.1 {name}").as_bytes()),
        }
        let complaint = complaint(world).await;
        assert!(
            complaint.contains(" in ") && complaint.contains(": value ") && !complaint.contains(&name),
            "{place}: {complaint}"
        );
    }
}

fn logged(text: &str) {
    tracing::info!(target: "tokenrelay::canary", "{text}");
}
