//! The vault's file removed, replaced or altered under a relay that serves: nothing is sent on its word.

use crate::set_up::Stage;
use crate::world::{World, assert_result};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use tokenrelay::app::vault_settings;
use tokenrelay::vault::{Settings, Vault};

fn file(world: &World) -> PathBuf {
    world.config.vault_dir().join("vault.db")
}

/// Through both doors, with nobody in the cache yet.
async fn assert_unavailable(world: &World) {
    let answer = world.http().await.post(&world.job(0, "a")).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_result(&answer.json(), "deferred", "vault-unavailable");
    let reply = world.smtp().await.send(&world.people[1].address(), &world.message(1)).await;
    assert_eq!(reply.codes(), "451 4.3.0", "{reply:?}");
    assert!(reply.text.contains("vault-unavailable"), "{reply:?}");
    assert_eq!(world.sink().stats().mail_commands, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_was_removed_serves_nobody() {
    let world = Stage::new().up().await;
    let (there, aside) = (file(&world), world.dir.path().join("aside.db"));
    fs::rename(&there, &aside).unwrap();
    assert_unavailable(&world).await;
    fs::rename(&aside, &there).unwrap();
    assert_eq!(world.http().await.post(&world.job(0, "back")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_was_replaced_is_not_mistaken_for_the_one_that_was_opened() {
    let world = Stage::new().up().await;
    // Another one under the same root key.
    let other = vault_settings(&world.config).unwrap();
    let other = Settings { dir: world.dir.path().join("other"), ..other };
    let made = Vault::open_or_create(&other).unwrap().path().to_owned();
    fs::rename(made, file(&world)).unwrap();
    assert_unavailable(&world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_that_was_damaged_serves_nobody() {
    let world = Stage::new().up().await;
    let vault = fs::OpenOptions::new().write(true).open(file(&world)).unwrap();
    let octets = usize::try_from(vault.metadata().unwrap().len()).unwrap();
    vault.write_all_at(&vec![0xA5; octets - 100], 100).unwrap();
    assert_unavailable(&world).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whose_row_was_altered_is_not_served_and_others_are() {
    let world = Stage::new().up().await;
    let db = rusqlite::Connection::open(file(&world)).unwrap();
    let altered = db.execute("UPDATE person SET restricted = 1 - restricted WHERE id = 1", []).unwrap();
    assert_eq!(altered, 1);
    drop(db);
    let mut http = world.http().await;
    let mut states = Vec::new();
    for person in 0..world.people.len() {
        let result = http.post(&world.job(person, &format!("j-{person}"))).await.json();
        states.push(result["state"].as_str().unwrap().to_owned());
    }
    states.sort();
    assert_eq!(states, ["deferred", "relayed", "relayed", "relayed"]);
    assert_eq!(world.sink().stats().messages, 3);
    world.finish().await;
}
