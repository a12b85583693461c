//! Jobs that are held because something is wrong go on once that is mended, whoever mends it and how: not an hour later, when
//! their pause is over.

use crate::set_up::{Mta, Presence, Stage};
use crate::world::{World, eventually};
use std::fs;
use tokenrelay::app::vault_settings;
use tokenrelay::config::Config;
use tokenrelay::load::sink::{Act, Script, Step, When};
use tokenrelay::vault::Vault;
use toml_edit::value;

/// Nothing goes by itself within a test.
fn patient(stage: Stage, accept: &'static str) -> Stage {
    stage.accept(accept).edit(|file| {
        file["journal"]["retry_first"] = value("1h");
        file["journal"]["retry_max"] = value("1h");
    })
}

/// Takes jobs on, each for another person; they are held for this reason.
async fn held(world: &World, jobs: usize, reason: &str) {
    for number in 0..jobs {
        let answer = world.http().await.post(&world.job(number % 4, &format!("w-{number}"))).await;
        assert_eq!(answer.json()["state"], "journaled", "{}", answer.text);
    }
    for number in 0..jobs {
        eventually("each has been attempted", || {
            world.ledger(&format!("w-{number}")).unwrap().1.as_deref() == Some(reason)
        })
        .await;
    }
}

async fn go_out(world: &World, jobs: usize) {
    for number in 0..jobs {
        world.ends(&format!("w-{number}"), "relayed").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_jobs_that_wait_for_the_vault_go_out_when_it_is_back() {
    for accept in ["auto", "journal"] {
        let world = patient(Stage::new(), accept).up().await;
        let vault = world.config.vault_dir().join("vault.db");
        fs::rename(&vault, vault.with_extension("away")).unwrap();
        held(&world, 3, "vault-unavailable").await;
        fs::rename(vault.with_extension("away"), &vault).unwrap();
        go_out(&world, 3).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_jobs_that_wait_for_a_vault_that_was_set_back_go_out_when_it_is_released() {
    let mut world = patient(Stage::new(), "journal").up().await;
    let vault = world.config.vault_dir().join("vault.db");
    world.consent(3, "service");
    world.stop().await;
    let latest = fs::read(&vault).unwrap();
    world.start().await;
    world.consent(3, "-service");
    world.stop().await;
    fs::write(&vault, latest).unwrap();
    world.start().await;
    held(&world, 3, "vault-unavailable").await;
    Vault::open(&vault_settings(&world.config).unwrap()).unwrap().release().unwrap();
    go_out(&world, 3).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_jobs_that_wait_for_a_target_go_out_when_it_can_be_reached_though_none_of_them_is_due() {
    for accept in ["auto", "journal"] {
        let away = Mta { presence: Presence::Down, ..Mta::new("mta1", Script::default()) };
        let mut world = patient(Stage::new().mta(away), accept).up().await;
        held(&world, 3, "target-unavailable").await;
        world.mtas[0].open();
        go_out(&world, 3).await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_jobs_that_a_target_put_off_while_it_was_down_go_out_when_it_takes_one() {
    let full = Act::Reply("452 4.3.1 insufficient system storage".into());
    let script = Script::default().with(Step::Mail, When::First(6), full);
    let world = patient(Stage::new().mta(Mta::new("mta1", script)), "journal").up().await;
    let mut jobs = 0;
    let mut beat = tokio::time::interval(std::time::Duration::from_millis(100));
    while world.sink().stats().messages == 0 {
        beat.tick().await;
        let answer = world.http().await.post(&world.job(jobs % 4, &format!("w-{jobs}"))).await;
        assert_eq!(answer.json()["state"], "journaled", "{}", answer.text);
        jobs += 1;
    }
    go_out(&world, jobs).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_what_a_person_has_mended_before_the_relay_was_started_anew_goes_out_with_the_start() {
    let away = Mta { presence: Presence::Down, ..Mta::new("mta1", Script::default()) };
    let mut world = patient(Stage::new().mta(away), "journal").up().await;
    held(&world, 3, "target-unavailable").await;
    world.stop().await;
    world.mtas[0].open();
    world.start().await;
    go_out(&world, 3).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_jobs_of_a_template_that_was_mended_go_out_with_a_start_too() {
    let text = "line one\n{{#if data.order}}no end";
    let mut world = patient(Stage::new().file("small/note/body.txt.hbs", text), "journal").up().await;
    held(&world, 3, "bad-template").await;
    world.stop().await;
    fs::write(world.dir.path().join("small/note/body.txt.hbs"), "Hello").unwrap();
    world.start().await;
    go_out(&world, 3).await;
    world.finish().await;
}

/// An engine that is gone by mistake is soon back, and its jobs cannot be submitted anew once they are refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b11_held_jobs_of_an_engine_that_is_gone_wait_until_it_is_back() {
    let world = patient(Stage::new(), "journal").up().await;
    let vault = world.config.vault_dir().join("vault.db");
    fs::rename(&vault, vault.with_extension("away")).unwrap();
    held(&world, 2, "vault-unavailable").await;
    let before = fs::read_to_string(&world.config.file).unwrap();
    fs::write(&world.config.file, before.replace("\"campaigns\"", "\"others\"")).unwrap();
    let told = world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap();
    assert!(told.contains("not configured any more: campaigns;"), "{told}");
    fs::rename(vault.with_extension("away"), &vault).unwrap();
    for number in 0..2 {
        eventually("it is held for want of its engine", || {
            let (state, reason, _) = world.ledger(&format!("w-{number}")).unwrap();
            state == "journaled" && reason.as_deref() == Some("bad-job")
        })
        .await;
    }
    let mut beat = tokio::time::interval(std::time::Duration::from_millis(20));
    let ready = async || world.http().await.get("/readyz").await;
    let told = "engine campaigns: 2 held jobs of it, and it is not configured any more";
    while !ready().await.text.contains(told) {
        beat.tick().await;
    }
    assert_eq!(ready().await.status, 200, "others' jobs go on");
    fs::write(&world.config.file, before).unwrap();
    world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap();
    go_out(&world, 2).await;
    while ready().await.text.contains("not configured") {
        beat.tick().await;
    }
    world.finish().await;
}
