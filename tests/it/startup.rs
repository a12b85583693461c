//! A relay that must not start says why, where, and what to do.

use crate::set_up::Stage;
use tokenrelay::cli::{CliError, Exit};
use toml_edit::value;

fn assert_says(error: &CliError, exit: Exit, parts: &[&str]) {
    let text = format!("{} {}", error.cause, error.fix.as_deref().unwrap_or_default());
    assert_eq!(error.exit, exit, "{text}");
    for part in parts {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

#[tokio::test]
async fn a_wrong_root_key_opens_nothing() {
    let mut world = Stage::new().up().await;
    world.stop().await;
    let other = "0123456789abcdef".repeat(4);
    std::fs::write(world.dir.path().join("keys/vault.key"), other).unwrap();
    let error = tokenrelay::app::App::start(world.config.clone()).await.err().expect("it does not start");
    assert_says(&error, Exit::Config, &["the root key does not fit the vault", "point [vault] key"]);
    world.finish().await;
}

#[tokio::test]
async fn a_root_key_that_is_none_is_a_mistake_of_the_configuration() {
    let mut world = Stage::new().up().await;
    world.stop().await;
    std::fs::write(world.dir.path().join("keys/vault.key"), "not a key").unwrap();
    let error = tokenrelay::app::App::start(world.config.clone()).await.err().expect("it does not start");
    assert_says(&error, Exit::Config, &["[vault] key", "keys/vault.key", "32"]);
    world.finish().await;
}

#[tokio::test]
async fn unknown_keys_are_named_with_their_place_and_all_at_once() {
    let stage = Stage::new().edit(|file| {
        file["limits"]["mesage_bytes_max"] = value("1MiB");
        file["target"][0]["conections_max"] = value(3);
    });
    let error = stage.refused().await;
    let parts = [
        "tokenrelay.toml:",
        "limits.mesage_bytes_max",
        "did you mean message_bytes_max?",
        "connections_max?",
    ];
    assert_says(&error, Exit::Config, &parts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_template_is_named_with_its_place() {
    let text = |body: &'static str, cause: &'static str| ("small/bad/body.txt.hbs", body, cause);
    for (file, body, cause) in [
        text("line one\n{{#if data.order}}no end", "body.txt.hbs:"),
        text("{{shout person.first_name}}", "shout"),
        text("{{person.first_name", "body.txt.hbs:1:"),
        text("https://shop.example/?name={{person.first_name}}", "person.first_name"),
        text("{{> other}}", "body.txt.hbs:1:"),
        (
            "small/bad/body.html.hbs",
            "<p><a href=\"https://shop.example/{{person.email}}\">x</a></p>",
            "bad/body.html.hbs:1:",
        ),
    ] {
        let stage = Stage::new().file("small/bad/template.toml", MANIFEST);
        let stage = stage.file("small/bad/subject.hbs", "Hello").file("small/bad/body.txt.hbs", "Hello");
        let world = stage.file(file, body).up().await;
        let said = world.http().await.get("/readyz").await.text;
        for part in ["template bad: bad/", cause, "fix: "] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        world.finish().await;
    }
}

const MANIFEST: &str = "from = \"a@shop.example\"\npurpose = \"service\"\n[field.first_name]\nrequired = true\n\
                        [field.email]\nrequired = true\n";

#[tokio::test]
async fn an_address_in_use_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let named = address.clone();
    let error = Stage::new().edit(move |file| file["listener"][1]["bind"] = value(named)).refused().await;
    assert_says(&error, Exit::Temporary, &[&address, "[[listener]]"]);
}
