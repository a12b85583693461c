//! Messages that only some targets can take: with 8-bit bytes that cannot be written anew (RFC 6152 §3), or to an address that is
//! not ASCII (RFC 6531 §3.2).

use crate::set_up::{Mta, Presence, Stage};
use crate::world::{World, eventually};
use tokenrelay::load::sink::{Act, Script, Step, When};

/// What is in a place where it stays as it is, and what the refusal calls that place.
const PLACES: [(&str, &str); 3] = [
    (
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nDear {{person.first_name}}\r\n\
         --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: old\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\nZoë\r\n--b--",
        "(message/rfc822)",
    ),
    (
        "Content-Type: multipart/signed; micalg=sha-256; protocol=\"application/pgp-signature\"; boundary=b\r\n\r\n--b\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nZoë\r\n\
         --b\r\nContent-Type: application/pgp-signature\r\n\r\nx\r\n--b--",
        "(text/plain)",
    ),
    (
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nReport\r\n\
         --b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nAction: échoué\r\n--b--",
        "(message/delivery-status)",
    ),
];

const WITHOUT: &str = "no-8bitmime,no-smtputf8";

fn plain() -> Mta {
    Mta::new("plain", Script::profile(WITHOUT).unwrap())
}

fn able() -> Mta {
    Mta { priority: 1, ..Mta::new("able", Script::default()) }
}

fn message(world: &World, job_id: &str, content: &str) -> String {
    format!(
        "From: Shop <shop@shop.example>\r\nTo: {}\r\nSubject: Hello\r\nX-TokenRelay-Purpose: service\r\n\
         X-TokenRelay-Job-Id: {job_id}\r\nMIME-Version: 1.0\r\n{content}",
        world.people[0].address()
    )
}

fn taken(world: &World) -> Vec<u64> {
    world.mtas.iter().map(|mta| mta.sink.as_ref().map_or(0, |sink| sink.stats().messages)).collect()
}

/// So many jobs came, and nothing is to be done for them any more.
async fn ended(world: &World, jobs: i64) {
    eventually("all have ended", || world.rows("payload") == 0 && world.rows("job") == jobs).await;
}

fn detail(world: &World, job_id: &str) -> String {
    let row = "SELECT ifnull(detail, '') FROM job WHERE job_id = ?1";
    world.journal().query_row(row, [job_id], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_what_cannot_be_converted_goes_to_the_target_that_takes_it() {
    for accept in ["handoff", "auto", "journal"] {
        let world = Stage::new().accept(accept).mta(plain()).mta(able()).up().await;
        for (at, (content, _)) in PLACES.iter().enumerate() {
            let reply = world
                .smtp()
                .await
                .send(&world.people[0].address(), &message(&world, &format!("j{at}"), content))
                .await;
            assert_eq!(reply.codes(), "250 2.0.0", "{accept}: {reply:?}");
        }
        eventually("all arrive where 8-bit bytes may go", || taken(&world) == [0, 3]).await;
        let found = world.mtas[1].sink.as_ref().unwrap().messages();
        assert!(found.iter().all(|sunk| sunk.envelope.parameters.contains("BODY=8BITMIME")));
        world.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_where_no_target_takes_it_that_is_final_and_names_the_part() {
    for accept in ["handoff", "auto", "journal"] {
        let world = Stage::new().accept(accept).mta(plain()).up().await;
        for (at, (content, part)) in PLACES.iter().enumerate() {
            let job_id = format!("j{at}");
            let reply =
                world.smtp().await.send(&world.people[0].address(), &message(&world, &job_id, content)).await;
            let said = if accept == "journal" { "250 2.0.0" } else { "554 5.6.3" };
            assert_eq!(reply.codes(), said, "{accept}: {reply:?}");
            let why = if accept == "handoff" {
                reply.text
            } else {
                ended(&world, at as i64 + 1).await;
                detail(&world, &job_id)
            };
            assert!(why.contains(part) && why.contains("8BITMIME"), "{accept}: {why}");
        }
        // What can be converted is.
        let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nZoë {{person.first_name}}";
        let reply = world.smtp().await.send(&world.people[0].address(), &message(&world, "text", text)).await;
        assert_eq!(reply.codes(), "250 2.0.0", "{accept}: {reply:?}");
        eventually("it arrives", || taken(&world) == [1]).await;
        world.finish().await;
    }
}

/// As long as one may come back that takes it, nothing is final.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_a_target_that_is_down_may_be_the_one() {
    let down = || Mta { presence: Presence::Down, ..able() };
    let world = Stage::new().mta(plain()).mta(down()).up().await;
    let reply = world.smtp().await.send(&world.people[0].address(), &message(&world, "j", PLACES[0].0)).await;
    assert_eq!(reply.codes(), "451 4.4.1", "{reply:?}");
    assert_eq!(taken(&world), [0, 0]);
    world.finish().await;
    for accept in ["auto", "journal"] {
        let retry =
            |file: &mut toml_edit::DocumentMut| file["journal"]["retry_first"] = toml_edit::value("100ms");
        let mut world = Stage::new().accept(accept).edit(retry).mta(plain()).mta(down()).up().await;
        let reply =
            world.smtp().await.send(&world.people[0].address(), &message(&world, "j", PLACES[1].0)).await;
        assert_eq!(reply.codes(), "250 2.0.0", "{accept}: {reply:?}");
        world.mtas[1].open();
        eventually("it arrives when that one is back", || taken(&world) == [0, 1]).await;
        world.finish().await;
    }
}

/// A target whose sessions differ: what the last one offered is no promise of the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_a_target_that_takes_8_bits_no_more_is_left_for_one_that_does() {
    // The first EHLO within TLS offers it; each later one does not.
    let script =
        Script::default().with(Step::Ehlo, When::After(2), Act::Reply("250-plain\r\n250 PIPELINING".into()));
    let fickle = Mta::new("plain", script);
    let world = Stage::new().mta(fickle).mta(able()).up().await;
    for number in 0..6 {
        let reply = world
            .smtp()
            .await
            .send(&world.people[0].address(), &message(&world, &format!("j{number}"), PLACES[0].0))
            .await;
        assert_eq!(reply.codes(), "250 2.0.0", "{reply:?}");
    }
    assert_eq!(taken(&world).iter().sum::<u64>(), 6);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b12_an_address_that_is_not_ascii_goes_where_smtputf8_is_offered() {
    let stage = |accept| Stage::new().accept(accept).column(0, "email", "דנה@post.example");
    for accept in ["handoff", "auto", "journal"] {
        let world = stage(accept).mta(plain()).mta(able()).up().await;
        let reply = world.smtp().await.send(&world.people[0].address(), &world.message(0)).await;
        assert_eq!(reply.codes(), "250 2.0.0", "{accept}: {reply:?}");
        eventually("it arrives", || taken(&world) == [0, 1]).await;
        world.finish().await;
        let world = stage(accept).mta(plain()).up().await;
        let text = format!("X-TokenRelay-Job-Id: j\r\n{}", world.message(0));
        let reply = world.smtp().await.send(&world.people[0].address(), &text).await;
        let said = if accept == "journal" { "250 2.0.0" } else { "553 5.6.7" };
        assert_eq!(reply.codes(), said, "{accept}: {reply:?}");
        if accept != "handoff" {
            ended(&world, 1).await;
            assert!(detail(&world, "j").contains("SMTPUTF8"), "{}", detail(&world, "j"));
        }
        assert_eq!(taken(&world), [0]);
        world.finish().await;
    }
}
