//! `tokenrelay check`: what starts and then cannot send, and what is printed about it.

use crate::command_line::{folder, run, told};
use serde_json::Value as Json;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What `check --json` says; every line is an object of the one form.
fn steps(dir: &Path) -> (Option<i32>, Vec<Json>) {
    let output = run(dir, &["check", "--offline", "--json"]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let steps: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!steps.is_empty() && output.stderr.is_empty(), "{}", told(&output));
    for step in &steps {
        assert!(step["check"].is_string() && step["detail"].is_string(), "{step}");
        assert_eq!(step["fix"].is_string(), !step["ok"].as_bool().unwrap(), "{step}");
    }
    (output.status.code(), steps)
}

/// The set-up of `init`, with its doors where nobody else is.
fn apart() -> tempfile::TempDir {
    let dir = folder();
    edit(dir.path(), "127.0.0.1:2525", "127.0.0.1:0");
    edit(dir.path(), "127.0.0.1:8025", "127.0.0.1:0");
    dir
}

fn edit(dir: &Path, from: &str, to: &str) {
    let file = dir.join("tokenrelay.toml");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn d_check_is_json_on_every_path() {
    let dir = apart();
    let file = dir.path().join("tokenrelay.toml");
    let good = fs::read(&file).unwrap();
    assert_eq!(steps(dir.path()).0, Some(0));
    let failing = |what: &str| {
        let (code, steps) = steps(dir.path());
        assert_eq!(code, Some(78), "{what}");
        let lone: Vec<&Json> = steps.iter().filter(|step| step["ok"] == false).collect();
        assert_eq!(lone.len(), steps.len(), "{what}: {steps:?}");
        steps.iter().map(Json::to_string).collect::<Vec<_>>().join("\n")
    };
    fs::write(&file, "[vault\n").unwrap();
    assert!(failing("no TOML").contains("tokenrelay.toml:1:"));
    fs::write(&file, b"# \xff\n").unwrap();
    assert!(failing("no UTF-8").contains("save it as UTF-8"));
    let two = String::from_utf8(good.clone())
        .unwrap()
        .replace("consent", "x")
        .replace("# x = \"opt-out\"", "consen = 1");
    fs::write(&file, two + "\n[limits2]\n").unwrap();
    assert_eq!(failing("two mistakes").lines().count(), 2);
    fs::remove_file(&file).unwrap();
    assert!(failing("no file").contains("tokenrelay init DIR"));
    fs::create_dir(&file).unwrap();
    assert!(failing("a folder").contains("name the file in it"));
    fs::remove_dir(&file).unwrap();
    fs::write(&file, good).unwrap();
    fs::write(dir.path().join("keys/vault.key"), "11".repeat(31) + "22").unwrap();
    let (code, steps) = steps(dir.path());
    assert_eq!(code, Some(1));
    let vault = steps.iter().find(|step| step["check"] == "vault").unwrap();
    assert!(vault["fix"].as_str().unwrap().contains("the key it was made with"), "{vault}");
}

/// What breaks a set-up, and what `check` says of it.
struct Broken<'a> {
    how: &'a dyn Fn(&Path),
    check: &'a str,
    cause: &'a str,
    fix: &'a str,
}

fn fails(broken: &[Broken<'_>]) {
    for Broken { how, check, cause, fix } in broken {
        let dir = apart();
        how(dir.path());
        let (code, steps) = steps(dir.path());
        assert_eq!(code, Some(1), "{cause}: {steps:?}");
        let says = |key: &str, step: &Json, part: &str| step[key].as_str().unwrap_or_default().contains(part);
        let is_said = |step: &&Json| {
            step["ok"] == false
                && says("check", step, check)
                && says("detail", step, cause)
                && says("fix", step, fix)
        };
        assert!(steps.iter().any(|step| is_said(&step)), "{check}: {cause}: {fix}: {steps:#?}");
    }
}

#[test]
fn d_check_fails_on_engines_that_start_and_cannot_send() {
    let fields = |dir: &Path| edit(dir, "fields = [\"*\"]", "fields = [\"first_name\"]");
    fails(&[
        Broken {
            how: &fields,
            check: "engine campaigns",
            cause: "template receipt reads ",
            fix: "set fields = [\"first_name\", \"account_last4\", ",
        },
        Broken {
            how: &|dir| edit(dir, "templates = [\"*\"]", "templates = [\"welcom\"]"),
            check: "engine campaigns",
            cause: "there is no such template; did you mean welcome?",
            fix: "receipt, statement, welcome",
        },
        Broken {
            how: &|dir| edit(dir, "purpose_default = \"service\"", "purpose_default = \"servce\""),
            check: "engine campaigns",
            cause: "did you mean service?",
            fix: "set purpose_default to one of marketing, service",
        },
        Broken {
            how: &|dir| {
                edit(dir, "secret = \"file:keys/campaigns.secret\"", "client_cert_san = \"a.example\"")
            },
            check: "engine campaigns",
            cause: "it cannot log in",
            fix: "set client_ca",
        },
        Broken {
            how: &|dir| {
                let file = dir.join("tokenrelay.toml");
                let other = "\n[[engine]]\nname = \"shop\"\nsecret = \"file:keys/campaigns.secret\"\npurposes = [\"service\"]\n";
                fs::write(&file, fs::read_to_string(&file).unwrap() + other).unwrap();
            },
            check: "engine shop",
            cause: "it has the secret of engine campaigns",
            fix: "a secret of its own",
        },
        Broken {
            how: &|dir| fs::write(dir.join("keys/campaigns.secret"), "short").unwrap(),
            check: "engine campaigns",
            cause: "shorter than 16",
            fix: "openssl rand -hex 32",
        },
        Broken {
            how: &|dir| fs::remove_file(dir.join("keys/campaigns.secret")).unwrap(),
            check: "engine campaigns",
            cause: "cannot read the secret file",
            fix: "openssl rand -hex 32 > ",
        },
    ]);
}

#[test]
fn a10_check_fails_on_a_template_for_a_purpose_that_nobody_has() {
    let purpose = |dir: &Path| {
        let file = dir.join("templates/welcome/template.toml");
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\"marketing\""));
        fs::write(file, text.replacen("\"marketing\"", "\"markting\"", 1)).unwrap();
    };
    fails(&[Broken {
        how: &purpose,
        check: "engines",
        cause: "template welcome is for the purpose \"markting\", which no engine is granted; did you mean marketing?",
        fix: "correct purpose in welcome/template.toml",
    }]);
}

fn failed(dir: &Path) -> Vec<(String, String)> {
    let text = |step: &Json, key: &str| step[key].as_str().unwrap().to_owned();
    let bad = |step: &Json| (step["ok"] == false).then(|| (text(step, "detail"), text(step, "fix")));
    steps(dir).1.iter().filter_map(bad).collect()
}

#[test]
fn d_one_slip_is_told_once_and_its_fix_mends_it() {
    let dir = apart();
    edit(dir.path(), "purposes = [\"marketing\", \"service\"]", "purposes = [\"marketing\", \"servise\"]");
    let told = failed(dir.path());
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].1, "write \"service\" in place of \"servise\" in its purposes");
    edit(dir.path(), "purpose_default = \"service\"", "# no default");
    let told = failed(dir.path());
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].0.starts_with("templates receipt, statement are for the purpose \"service\""),
        "{told:?}"
    );
}

#[test]
fn d_certificate_and_key_that_are_exchanged_are_nothing_else() {
    let dir = apart();
    for _ in 0..2 {
        edit(dir.path(), "cert = \"certs/relay.pem\"", "cert = \"certs/relay.kEy\"");
        edit(dir.path(), "key = \"file:certs/relay.key\"", "key = \"file:certs/relay.pem\"");
        edit(dir.path(), "relay.kEy", "relay.key");
    }
    let told = failed(dir.path());
    assert_eq!(told.len(), 2, "one for each door: {told:?}");
    for (cause, fix) in told {
        assert!(cause.contains("relay.key holds a private key, and file:"), "{cause}");
        assert!(fix.starts_with("exchange the two"), "{fix}");
    }
}

#[test]
fn d_a_state_dir_that_is_a_file_is_said_to_be_one() {
    let dir = apart();
    fs::write(dir.path().join("file"), "x").unwrap();
    for state_dir in ["file", "file/state"] {
        edit(dir.path(), "state_dir = \"", &format!("state_dir = \"{state_dir}\" # \""));
        let told = failed(dir.path());
        assert_eq!(told.len(), 2, "vault and journal: {told:?}");
        for (cause, fix) in told {
            assert!(cause.contains("a part of its path is no folder"), "{cause}");
            assert!(fix.contains("name a folder: state_dir, or one above it, is a file"), "{fix}");
        }
    }
}

#[test]
fn p6_check_fails_on_a_default_that_a_template_does_not_allow() {
    let purposes = |list: &'static str| {
        move |dir: &Path| {
            let file = dir.join("templates/welcome/template.toml");
            let text = fs::read_to_string(&file).unwrap();
            assert!(text.contains("purpose = \"marketing\""));
            fs::write(file, text.replacen("purpose = \"marketing\"", list, 1)).unwrap();
            edit(
                dir,
                "purposes = [\"marketing\", \"service\"]",
                "purposes = [\"marketing\", \"news\", \"service\"]",
            );
        }
    };
    fails(&[
        Broken {
            how: &purposes("purpose = [\"marketing\", \"news\"]"),
            check: "engine campaigns",
            cause: "purpose_default = \"service\" is not among the purposes of the template welcome (marketing, news)",
            fix: "set purpose_default to marketing or news, or have each of these jobs state one",
        },
        Broken {
            how: &purposes("purpose = [\"marketing\", \"nws\"]"),
            check: "engines",
            cause: "template welcome is for the purpose \"nws\", which no engine is granted; did you mean news?",
            fix: "correct purpose in welcome/template.toml",
        },
        Broken {
            how: &purposes("purpose = []"),
            check: "templates",
            cause: "welcome/template.toml:5:11: purpose names none",
            fix: "name one, or leave purpose out",
        },
    ]);
    let dir = apart();
    purposes("purpose = [\"marketing\", \"service\"]")(dir.path());
    let (code, steps) = steps(dir.path());
    assert_eq!(code, Some(0), "{steps:#?}");
}

#[test]
fn a9_a_file_that_stands_at_several_places_is_named_once() {
    let dir = apart();
    let key = dir.path().join("keys/vault.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let file = dir.path().join("tokenrelay.toml");
    let text = fs::read_to_string(&file).unwrap();
    let more = "\n[[engine]]\nname = \"other\"\nsecret = \"file:keys/vault.key\"\npurposes = [\"service\"]\n";
    fs::write(&file, text + more).unwrap();
    let (_, steps) = steps(dir.path());
    let told = steps.iter().find(|step| step["check"] == "private files").unwrap();
    assert_eq!(told["detail"].as_str().unwrap().matches("vault.key").count(), 1, "{told}");
    assert_eq!(told["fix"].as_str().unwrap().matches("vault.key").count(), 1, "{told}");
}

#[test]
fn d_check_fails_on_doors_and_vaults_that_cannot_work() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&[
        Broken {
            how: &|dir| edit(dir, "bind = \"127.0.0.1:0\"", &format!("bind = \"{address}\"")),
            check: "listener",
            cause: "cannot listen on it",
            fix: "another program listens there",
        },
        Broken {
            how: &|dir| edit(dir, "bind = \"127.0.0.1:0\"", "bind = \"192.0.2.1:2525\""),
            check: "listener 192.0.2.1:2525",
            cause: "cannot listen on it",
            fix: "does not have that address",
        },
        Broken {
            how: &|dir| edit(dir, "cert = \"certs/relay.pem\"", "cert = \"certs/relay.key\""),
            check: "listener",
            cause: "holds a private key, not a certificate",
            fix: "are the two exchanged?",
        },
        Broken {
            how: &|dir| edit(dir, "key = \"file:certs/relay.key\"", "key = \"file:certs/mta1.key\""),
            check: "listener",
            cause: "is not that of the certificate",
            fix: "name the key that the certificate was made with",
        },
        Broken {
            how: &|dir| fs::remove_dir_all(dir.join("state/vault")).unwrap(),
            check: "vault",
            cause: "it does not exist",
            fix: "tokenrelay vault import",
        },
        Broken {
            how: &|dir| {
                fs::remove_dir_all(dir.join("state/vault")).unwrap();
                fs::write(dir.join("none.csv"), "email\n").unwrap();
                run(dir, &["vault", "import", "none.csv"]);
            },
            check: "vault",
            cause: "there is nobody in it",
            fix: "tokenrelay vault import",
        },
        Broken {
            how: &|dir| fs::remove_file(dir.join("keys/vault.key")).unwrap(),
            check: "vault",
            cause: "cannot read the secret file",
            fix: "put back the key",
        },
        Broken {
            how: &|dir| fs::write(dir.join("keys/vault.key"), "hello").unwrap(),
            check: "vault",
            cause: "neither 64 hex digits",
            fix: "put back the key",
        },
        Broken {
            how: &|dir| fs::write(dir.join("templates/welcome/subject.hbs"), "{{x}}").unwrap(),
            check: "templates",
            cause: "welcome/subject.hbs:1:1: x is not known here",
            fix: "write data.x",
        },
    ]);
}

#[test]
fn d_the_targets_are_not_the_relays_own_doors() {
    let dir = apart();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    edit(dir.path(), "127.0.0.1:0", &format!("127.0.0.1:{free}"));
    edit(dir.path(), "port = 2587", &format!("port = {free}"));
    let output = told(&run(dir.path(), &["check"]));
    assert!(output.contains("is this relay's own listener"), "{output}");
}

#[test]
fn d_a_secret_that_no_client_can_send_is_told() {
    let dir = folder();
    let file = dir.path().join("keys/campaigns.secret");
    let secret = fs::read_to_string(&file).unwrap();
    for blank in [format!("{} \n", secret.trim()), format!("\t{secret}")] {
        fs::write(&file, blank).unwrap();
        let output = run(dir.path(), &["serve"]);
        let said = told(&output);
        assert_eq!(output.status.code(), Some(78), "{said}");
        assert!(said.contains("begins or ends with a blank") && said.contains("fix: "), "{said}");
        assert!(!said.contains(secret.trim()), "{said}");
    }
}

#[test]
fn d_a_mistake_in_the_configuration_is_mended_by_what_the_program_itself_says() {
    for (from, to, cause, fix) in [
        (
            "# connections_max = 1000",
            "connections_max = \"many\"",
            "is a number, not a string",
            "connections_max = 1000   # per listener",
        ),
        (
            "# connections_max = 1000",
            "connections_max = 0",
            "with less nothing works",
            "connections_max = 1000   # per listener",
        ),
        ("# ttl = \"5m\"", "ttl = \"soon\"", "a span of time", "as in: ttl = \"5m\"   # how long a record"),
        ("# ttl = \"5m\"", "tttl = \"5m\"", "did you mean ttl?", "as in: ttl = \"5m\""),
        ("kind = \"smtp\"", "kind = \"smpt\"", "one of smtp, lmtp, http", "as in: kind = \"smtp\""),
        ("bind = \"127.0.0.1:8025\"", "bind = \"127.0.0.1:2525\"", "two listeners have bind", ""),
        ("# level = \"info\"", "level = \"inof\"", "did you mean info?", "as in: level = \"info\""),
        ("[\"tokens.example\"]", "[\"tokens example\"]", "not \"tokens example\"", "token_domains = ["),
        (
            "# helo_name = \"relay.example\"",
            "helo_name = \"my relay\"",
            "one word of ASCII",
            "helo_name = \"relay.example\"",
        ),
        (
            "# server_name = \"127.0.0.1\"",
            "server_name = \"bad name!\"",
            "target.server_name is",
            "server_name = ",
        ),
        (
            "# retry_first = \"30s\"",
            "retry_max = \"1s\"\nretry_first = \"2s\"",
            "journal.retry_first is longer than journal.retry_max",
            "lower retry_first, or raise retry_max",
        ),
        ("# handoff_wait = \"10s\"", "handoff_wait = \"0s\"", "at least \"1ms\"", "handoff_wait = \"10s\""),
    ] {
        let dir = folder();
        edit(dir.path(), from, to);
        for words in [&["check"] as &[&str], &["serve"], &["vault", "stats"]] {
            let output = run(dir.path(), words);
            let said = told(&output);
            assert_eq!(output.status.code(), Some(78), "{said}");
            assert!(said.contains(cause) && said.contains("fix: ") && said.contains(fix), "{said}");
            assert!(!said.contains("deploy/"), "{said}");
        }
    }
    let dir = folder();
    let mut command = crate::command_line::command(dir.path(), &["check", "--offline"]);
    let said = told(&command.env("TOKENRELAY__CACHE__TTL", "soon").output().unwrap());
    assert!(said.contains("fix: unset TOKENRELAY__CACHE__TTL, or correct it"), "{said}");
}

#[test]
fn d_what_people_would_read_as_it_stands_is_a_mistake_in_a_template() {
    let dir = apart();
    let welcome = dir.path().join("templates/welcome");
    let html = "<p>Dear [[name]],</p>\n<p><img src=\"assets/x.png\" alt=\"\"></p>\n<a href=\"https://a.test/?x=%C3%A9\">100%</a>";
    fs::write(welcome.join("body.html.hbs"), html).unwrap();
    let output = run(dir.path(), &["template", "lint"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("welcome/body.html.hbs:1:9: [[name]] is a placeholder of another product"),
        "{said}"
    );
    assert!(said.contains("welcome/body.html.hbs:2:14: the address assets/x.png is relative"), "{said}");
    let (code, steps) = steps(dir.path());
    assert_eq!(code, Some(1));
    assert!(steps.iter().any(|step| step["fix"].as_str().unwrap_or_default().contains("cid:")), "{steps:?}");
    let manifest = welcome.join("template.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, format!("allow_literal = [\"[[name]]\", \"assets/x.png\"]\n{text}")).unwrap();
    let output = run(dir.path(), &["template", "lint"]);
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    fs::write(&manifest, format!("allow_litral = []\n{text}")).unwrap();
    let said = told(&run(dir.path(), &["template", "lint"]));
    assert!(said.contains("did you mean allow_literal?"), "{said}");
}

/// Most often a slip of the list that it came from; the word may be anything that a column held.
#[test]
fn b11_consent_to_what_nobody_mails_for_is_said() {
    let dir = apart();
    let of_vault = |steps: Vec<Json>| steps.into_iter().find(|step| step["check"] == "vault").unwrap();
    let (_, before) = steps(dir.path());
    assert!(!of_vault(before)["detail"].as_str().unwrap().contains("purpose"));
    fs::write(dir.path().join("stray.csv"), "email,consent\na@x.test,katzenbilder\nb@x.test,marketing\n")
        .unwrap();
    run(dir.path(), &["vault", "import", "stray.csv"]);
    let (code, after) = steps(dir.path());
    let told = of_vault(after);
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("the consent of 1 names a purpose that no engine and no template names"),
        "{detail}"
    );
    assert!(detail.contains("marketing, service") && !detail.contains("katzenbilder"), "{detail}");
    assert_eq!((code, &told["ok"]), (Some(0), &Json::Bool(true)));
}
