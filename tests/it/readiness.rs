//! Readiness tells the truth, and what was away for a while is taken up again without a restart.

use crate::set_up::{Mta, Presence, Stage};
use crate::world::{PATIENCE, World, assert_result};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use tokenrelay::app::vault_settings;
use tokenrelay::config::Config;
use tokenrelay::load::sink::Script;
use tokenrelay::vault::Vault;
use tokio::time::{interval, timeout};
use toml_edit::value;

/// Waits until `/readyz` answers so; returns what it says then.
async fn readiness(world: &World, status: u16) -> String {
    let mut beat = interval(Duration::from_millis(20));
    let asked = async {
        loop {
            beat.tick().await;
            let answer = world.http().await.get("/readyz").await;
            if answer.status == status {
                return answer.text;
            }
        }
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("readiness does not become {status}"))
}

fn job(world: &World, template: &str, job_id: &str) -> Value {
    let mut job = world.job(0, job_id);
    job["template"] = json!(template);
    job
}

async fn reload(world: &World) -> Result<String, String> {
    world.app().reload(Config::load(&world.config.file).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_vault_that_is_gone_is_said_and_one_that_is_back_is_read_again() {
    let world = Stage::new().up().await;
    let mut http = world.http().await;
    assert_eq!(http.post(&world.job(0, "a")).await.status, 200);
    let vault = world.config.vault_dir().join("vault.db");
    let away = vault.with_extension("away");
    readiness(&world, 200).await;
    fs::rename(&vault, &away).unwrap();
    let said = readiness(&world, 503).await;
    assert!(said.contains("vault: ") && said.contains("does not exist"), "{said}");
    assert_result(&http.post(&world.job(0, "b")).await.json(), "deferred", "vault-unavailable");
    // As a backup is put back: the same vault in another file.
    fs::copy(&away, vault.with_extension("new")).unwrap();
    fs::rename(vault.with_extension("new"), &vault).unwrap();
    let said = readiness(&world, 200).await;
    assert!(!said.contains("vault"), "{said}");
    for number in 0..4 {
        assert_eq!(http.post(&world.job(number, &format!("c-{number}"))).await.status, 200);
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_vault_that_is_overwritten_in_place_is_said_and_refuses_nobody() {
    let world = Stage::new().up().await;
    let mut http = world.http().await;
    let vault = world.config.vault_dir().join("vault.db");
    let (good, garbage) = (fs::read(&vault).unwrap(), vec![0xA5; 50_000]);
    for (turn, written) in [&garbage, &good[..good.len() / 2].to_vec(), &Vec::new()].into_iter().enumerate() {
        readiness(&world, 200).await;
        assert_eq!(http.post(&world.job(0, &format!("a-{turn}"))).await.status, 200);
        fs::write(&vault, written).unwrap();
        let said = readiness(&world, 503).await;
        assert!(said.contains("vault: ") && said.contains("overwritten"), "{said}");
        // Who was remembered is in the same case: nobody is refused for good.
        for person in 0..world.people.len() {
            let result = http.post(&world.job(person, &format!("b-{turn}-{person}"))).await.json();
            assert_result(&result, "deferred", "vault-unavailable");
        }
        fs::write(&vault, &good).unwrap();
        let said = readiness(&world, 200).await;
        assert!(!said.contains("vault"), "{said}");
    }
    world.finish().await;
}

/// Whoever withdrew consent since the copy was made is not mailed, and whoever was added is not refused for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_an_older_copy_of_the_vault_mails_and_refuses_nobody_until_a_person_decides() {
    let mut world = Stage::new().up().await;
    let vault = world.config.vault_dir().join("vault.db");
    let (older, latest) = (vault.with_extension("older"), vault.with_extension("latest"));
    let put_in_place = |copy: &std::path::Path| {
        fs::copy(copy, vault.with_extension("new")).unwrap();
        fs::rename(vault.with_extension("new"), &vault).unwrap();
    };
    fs::copy(&vault, &older).unwrap();
    world.refuse(0, "service");
    readiness(&world, 200).await;
    fs::copy(&vault, &latest).unwrap();
    put_in_place(&older);
    for turn in ["while it runs", "at its start"] {
        let said = readiness(&world, 503).await;
        assert!(said.contains("set back to an earlier time") && said.contains("vault release"), "{said}");
        let mut http = world.http().await;
        let mut unknown = world.job(0, &format!("nobody {turn}"));
        unknown["to"] = json!("e_nobodyhasthis@tokens.example");
        for job in [world.job(0, turn), world.job(1, &format!("other {turn}")), unknown] {
            assert_result(&http.post(&job).await.json(), "deferred", "vault-unavailable");
        }
        world.restart().await;
    }
    assert!(world.messages().is_empty());
    put_in_place(&latest);
    readiness(&world, 200).await;
    let mut http = world.http().await;
    assert_result(&http.post(&world.job(0, "c")).await.json(), "suppressed", "no-consent");
    assert_eq!(http.post(&world.job(1, "d")).await.status, 200);
    put_in_place(&older);
    readiness(&world, 503).await;
    Vault::open(&vault_settings(&world.config).unwrap()).unwrap().release().unwrap();
    readiness(&world, 200).await;
    assert_eq!(http.post(&world.job(0, "e")).await.status, 200, "a person said that this one counts");
    world.finish().await;
}

const DRAFT: [(&str, &str); 2] = [
    ("small/draft/template.toml", "from = \"a@shop.example\"\npurpose = \"service\"\n"),
    ("small/draft/subject.hbs", "Hello"),
];
const BAD_BODY: &str = "line one\n{{#if data.order}}no end";

fn with_draft(body: &str) -> Stage {
    DRAFT
        .iter()
        .fold(Stage::new(), |stage, (file, text)| stage.file(file, text))
        .file("small/draft/body.txt.hbs", body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_a_draft_with_a_mistake_keeps_no_other_template_from_serving() {
    let world = with_draft(BAD_BODY).up().await;
    let mut http = world.http().await;
    let said = readiness(&world, 200).await;
    assert!(said.contains("template draft: draft/body.txt.hbs:2:"), "{said}");
    assert_eq!(http.post(&world.job(0, "note")).await.status, 200);
    let answer = http.post(&job(&world, "draft", "draft")).await;
    assert_eq!(answer.status, 503);
    assert_result(&answer.json(), "deferred", "bad-template");
    let message = world.message(0).replacen("Subject:", "X-TokenRelay-Template: draft\r\nSubject:", 1);
    let reply = world.smtp().await.send(&world.people[0].address(), &message).await;
    assert_eq!(reply.codes(), "451 4.3.0", "{reply:?}");
    assert_result(&http.post(&job(&world, "never", "never")).await.json(), "rejected", "template-not-found");
    // What is no worse than before is taken.
    reload(&world).await.unwrap();
    fs::write(world.dir.path().join("small/draft/body.txt.hbs"), "Hello").unwrap();
    reload(&world).await.unwrap();
    assert!(!readiness(&world, 200).await.contains("draft"));
    assert_eq!(http.post(&job(&world, "draft", "draft")).await.status, 200);
    // A good one that is spoilt is not given up for the new.
    fs::write(world.dir.path().join("small/draft/body.txt.hbs"), BAD_BODY).unwrap();
    let cause = reload(&world).await.unwrap_err();
    assert!(cause.contains("draft/body.txt.hbs:2:"), "{cause}");
    assert_eq!(http.post(&job(&world, "draft", "again")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_a_language_with_a_mistake_keeps_no_other_from_serving_and_no_other_is_sent_in_its_place() {
    let stage = with_draft("Hello").file("small/draft/he/body.txt.hbs", BAD_BODY);
    let world = stage.file("small/draft/ja/body.txt.hbs", "Hello").up().await;
    let files = world.dir.path().join("small/draft");
    let mut http = world.http().await;
    let mut in_language = async |locale: &str, job_id: &str| {
        let mut job = job(&world, "draft", job_id);
        job["locale"] = json!(locale);
        http.post(&job).await
    };
    let said = readiness(&world, 200).await;
    assert!(said.contains("template draft: draft/he/body.txt.hbs:2:"), "{said}");
    assert!(said.contains("jobs for he wait"), "{said}");
    for (locale, status) in [("en", 200), ("ja-JP", 200), ("he", 503), ("he-IL", 503)] {
        let answer = in_language(locale, &format!("first-{locale}")).await;
        assert_eq!(answer.status, status, "{locale}: {}", answer.text);
        if status == 503 {
            assert_result(&answer.json(), "deferred", "bad-template");
        }
    }
    // What is no worse than before is taken, and so is what is mended.
    reload(&world).await.unwrap();
    fs::write(files.join("he/body.txt.hbs"), "Hello").unwrap();
    reload(&world).await.unwrap();
    assert_eq!(in_language("he", "mended").await.status, 200);
    // One that could be used, and one whose jobs got the default, are not given up for a mistake.
    for bad in ["ja", "de"] {
        fs::create_dir_all(files.join(bad)).unwrap();
        fs::write(files.join(bad).join("body.txt.hbs"), b"line\n\xff").unwrap();
        let cause = reload(&world).await.unwrap_err();
        assert!(cause.contains(&format!("draft/{bad}/body.txt.hbs:2:")), "{cause}");
        assert_eq!(in_language(bad, &format!("kept-{bad}")).await.status, 200);
        fs::remove_dir_all(files.join(bad)).unwrap();
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_jobs_of_a_draft_are_held_and_go_out_when_it_is_mended() {
    for accept in ["auto", "journal"] {
        let stage = with_draft(BAD_BODY).accept(accept).edit(|file| {
            // Not by themselves within this test.
            file["journal"]["retry_first"] = value("1h");
            file["journal"]["retry_max"] = value("1h");
        });
        let world = stage.up().await;
        let mut http = world.http().await;
        assert_eq!(http.post(&job(&world, "draft", "d")).await.json()["state"], "journaled", "{accept}");
        let held = world.ledger("d").unwrap();
        assert_eq!((held.0.as_str(), held.1.as_deref()), ("journaled", Some("bad-template")), "{accept}");
        fs::write(world.dir.path().join("small/draft/body.txt.hbs"), "Hello").unwrap();
        reload(&world).await.unwrap();
        world.ends("d", "relayed").await;
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c9_a_template_whose_folder_is_gone_is_put_off_until_it_is_back() {
    let world = with_draft("Hello").up().await;
    let mut http = world.http().await;
    let (folder, away) = (world.dir.path().join("small/draft"), world.dir.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    assert_eq!(http.post(&job(&world, "draft", "a")).await.status, 200, "what was read stays in use");
    reload(&world).await.unwrap();
    assert!(readiness(&world, 200).await.contains("template draft: its folder is gone"));
    for _ in 0..2 {
        assert_result(&http.post(&job(&world, "draft", "b")).await.json(), "deferred", "template-not-found");
        reload(&world).await.unwrap();
    }
    assert_result(&http.post(&job(&world, "never", "c")).await.json(), "rejected", "template-not-found");
    fs::rename(&away, &folder).unwrap();
    reload(&world).await.unwrap();
    assert_eq!(http.post(&job(&world, "draft", "b")).await.status, 200);
    // All of them at once: nothing is taken from that.
    let (all, away) = (world.dir.path().join("small"), world.dir.path().join("away"));
    fs::rename(&all, &away).unwrap();
    let cause = reload(&world).await.unwrap_err();
    assert!(cause.contains("the template directory cannot be read"), "{cause}");
    assert_eq!(http.post(&job(&world, "draft", "d")).await.status, 200);
    fs::rename(&away, &all).unwrap();
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c13_a_template_directory_that_is_not_there_at_the_start_puts_jobs_off() {
    let world = Stage::new().edit(|file| file["templates"]["dir"] = value("nowhere")).up().await;
    let mut http = world.http().await;
    assert!(readiness(&world, 200).await.contains("templates: "));
    assert_result(&http.post(&world.job(0, "a")).await.json(), "deferred", "template-not-found");
    assert_eq!(world.smtp().await.send(&world.people[0].address(), &world.message(0)).await.code, 250);
    fs::rename(world.dir.path().join("small"), world.dir.path().join("nowhere")).unwrap();
    reload(&world).await.unwrap();
    assert_eq!(http.post(&world.job(0, "a")).await.status, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c14_a_full_journal_says_so_everywhere_and_takes_jobs_again() {
    let away = Mta { presence: Presence::Down, ..Mta::new("mta1", Script::default()) };
    let stage = Stage::new().mta(away).accept("journal").edit(|file| {
        file["journal"]["bytes_max"] = value("1MiB");
    });
    let mut world = stage.up().await;
    let mut http = world.http().await;
    let large = "x".repeat(100 * 1024);
    let mut held = 0;
    let refused = loop {
        let mut job = world.job(0, &format!("large-{held}"));
        // Not one content for all of them.
        job["data"] = json!({"not_used": format!("{held}{large}")});
        let answer = http.post(&job).await;
        if answer.status != 202 {
            break answer;
        }
        held += 1;
        assert!(held < 20, "it is never full");
    };
    assert_eq!(refused.status, 507);
    assert_result(&refused.json(), "deferred", "journal-full");
    let large = format!("{}\r\n{}", world.message(1), "a line of it\r\n".repeat(8_000));
    let reply = world.smtp().await.send(&world.people[1].address(), &large).await;
    assert_eq!(reply.codes(), "452 4.3.1", "{reply:?}");
    let said = readiness(&world, 503).await;
    assert!(said.contains("journal: it takes no new jobs") && said.contains("bytes_max"), "{said}");
    let page = http.get("/metrics").await.text;
    for line in [
        "tokenrelay_journal_is_full 1",
        "tokenrelay_journal_bytes_max 1048576",
        "tokenrelay_journal_oldest_seconds ",
    ] {
        assert!(page.contains(line), "{line} is not in {page}");
    }
    world.mtas[0].open();
    readiness(&world, 200).await;
    assert_eq!(http.post(&world.job(2, "small")).await.status, 202);
    world.ends("small", "relayed").await;
    for number in 0..held {
        world.ends(&format!("large-{number}"), "relayed").await;
    }
    world.finish().await;
}
