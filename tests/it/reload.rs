//! A new configuration while serving: grants and templates count for the next job, a bad one changes nothing.

use crate::set_up::Stage;
use crate::world::{World, assert_result};
use serde_json::json;
use tokenrelay::config::Config;
use toml_edit::{DocumentMut, value};

fn rewrite(world: &World, edit: impl FnOnce(&mut DocumentMut)) -> Config {
    let mut document: DocumentMut = std::fs::read_to_string(&world.config.file).unwrap().parse().unwrap();
    edit(&mut document);
    std::fs::write(&world.config.file, document.to_string()).unwrap();
    Config::load(&world.config.file).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_grants_count_from_the_next_job_on() {
    let world = Stage::new().up().await;
    let mut http = world.http().await;
    let mut smtp = world.smtp().await;
    assert_eq!(http.post(&world.job(0, "before")).await.status, 200);
    let fields = ["first_name", "email"].into_iter().collect::<toml_edit::Array>();
    let narrower = rewrite(&world, |file| file["engine"][0]["fields"] = value(fields));
    world.app().reload(narrower).await.unwrap();
    assert_result(&http.post(&world.job(0, "behind")).await.json(), "rejected", "field-not-granted");
    let reply = world.smtp().await.send(&world.people[0].address(), &world.message(0)).await;
    assert!(reply.text.contains("field-not-granted"), "{reply:?}");
    let wider = rewrite(&world, |file| {
        file["engine"][0]["fields"] = value("*".split(' ').collect::<toml_edit::Array>())
    });
    world.app().reload(wider).await.unwrap();
    assert_eq!(http.post(&world.job(0, "again")).await.status, 200);
    // A session keeps the grants it logged in with or gets the new ones; both let this message through.
    assert_eq!(smtp.send(&world.people[1].address(), &world.message(1)).await.code, 250);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_key_is_refused_and_a_changed_template_is_used() {
    let world = Stage::new().up().await;
    let dir = world.dir.path();
    std::fs::write(dir.join("small/note/subject.hbs"), "Another subject").unwrap();
    std::fs::write(dir.join("keys/campaigns.secret"), "another secret of this engine").unwrap();
    let mut http = world.http().await;
    assert_eq!(http.post(&world.job(0, "old")).await.status, 200);
    world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap();
    assert_eq!(http.post(&world.job(0, "refused")).await.status, 401);
    http.key = "another secret of this engine".into();
    assert_eq!(http.post(&world.job(0, "new")).await.status, 200);
    let subjects: Vec<bool> =
        world.messages().iter().map(|m| subject(&m.content) == "Another subject").collect();
    assert_eq!(subjects, [false, true]);
    world.finish().await;
}

fn subject(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    text.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_leaves_the_old_one_whole() {
    let world = Stage::new().up().await;
    let mut http = world.http().await;
    let broken_template = world.dir.path().join("small/note/body.txt.hbs");
    let whole = std::fs::read_to_string(&broken_template).unwrap();
    std::fs::write(&broken_template, "{{#if data.order}} no end").unwrap();
    let config = rewrite(&world, |file| file["engine"][0]["fields"] = value(toml_edit::Array::new()));
    let cause = world.app().reload(config).await.unwrap_err();
    assert!(cause.contains("note/body.txt.hbs:1:"), "{cause}");
    assert_eq!(http.post(&world.job(0, "a")).await.status, 200, "not even the grants were taken");
    std::fs::write(&broken_template, whole).unwrap();
    std::fs::remove_file(world.dir.path().join("keys/campaigns.secret")).unwrap();
    let cause = world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap_err();
    assert!(cause.contains("campaigns"), "{cause}");
    let result = http.post(&world.job(0, "b")).await.json();
    assert_eq!(result["state"], json!("relayed"), "{result}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c5_a_reload_reads_every_tls_file_whatever_its_time_stamp() {
    let world = Stage::new().up().await;
    for (file, whose) in [("certs/relay.pem", "listener 127.0.0.1:"), ("certs/ca.pem", "target mta1: ")] {
        let file = world.dir.path().join(file);
        let (whole, before) = (std::fs::read(&file).unwrap(), std::fs::metadata(&file).unwrap());
        let mut spoilt = whole.clone();
        spoilt[40..80].fill(b'!');
        std::fs::write(&file, spoilt).unwrap();
        let stamped = std::fs::File::options().write(true).open(&file).unwrap();
        stamped.set_modified(before.modified().unwrap()).unwrap();
        let cause = world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap_err();
        assert!(
            cause.contains(whose)
                && cause.contains("the old files stay in use")
                && cause.contains("followed by itself"),
            "{cause}"
        );
        assert_eq!(world.http().await.post(&world.job(0, &whose.replace(' ', "-"))).await.status, 200);
        std::fs::write(&file, whole).unwrap();
        world.app().reload(Config::load(&world.config.file).unwrap()).await.unwrap();
    }
    world.finish().await;
}
