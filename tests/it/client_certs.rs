//! Engines that show who they are by a client certificate.

use crate::set_up::{Stage, list};
use crate::smtp::Smtp;
use crate::world::World;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tokenrelay::tls::{DevAuthority, provider};
use toml_edit::{Table, value};

const SAN: &str = "spiffe://shop.example/engine";

/// The engine `certified` has no secret; its certificate is its credential.
fn stage(authority: &DevAuthority) -> Stage {
    Stage::new().file("certs/clients-ca.pem", &authority.certificate_pem()).edit(|file| {
        file["listener"][0]["client_ca"] = value("certs/clients-ca.pem");
        let mut engine = Table::new();
        engine["name"] = value("certified");
        engine["client_cert_san"] = value(SAN);
        engine["fields"] = list(&["*"]);
        engine["purposes"] = list(&["service"]);
        file["engine"].as_array_of_tables_mut().unwrap().push(engine);
    })
}

/// What a client trusts, and what it shows.
fn showing(world: &World, authority: &DevAuthority, name: &str) -> Arc<rustls::ClientConfig> {
    let identity = authority.issue_client(name).unwrap();
    let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world.dir.path().join("certs/ca.pem")).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    Arc::new(config.with_client_auth_cert(vec![certificate], key).unwrap())
}

#[tokio::test]
async fn a_certificate_is_a_login() {
    let authority = DevAuthority::new("clients").unwrap();
    let world = stage(&authority).up().await;
    let shown = showing(&world, &authority, SAN);
    let mut smtp = Smtp::connect(world.door("smtp"), shown.clone(), world.transcript.clone()).await.unwrap();
    assert_eq!(smtp.send(&world.people[0].address(), &world.message(0)).await.codes(), "250 2.0.0");
    let mut again = Smtp::connect(world.door("smtp"), shown, world.transcript.clone()).await.unwrap();
    assert_eq!(again.say("AUTH EXTERNAL =").await.unwrap().codes(), "235 2.7.0");
    assert_eq!(again.send(&world.people[1].address(), &world.message(1)).await.codes(), "250 2.0.0");
    assert_eq!(world.messages().len(), 2);
    world.finish().await;
}

#[tokio::test]
async fn no_other_certificate_is_one() {
    let (authority, other) = (DevAuthority::new("clients").unwrap(), DevAuthority::new("clients").unwrap());
    let world = stage(&authority).up().await;
    let connect = |tls| Smtp::connect(world.door("smtp"), tls, world.transcript.clone());
    let mut stranger = connect(showing(&world, &authority, "other.shop.example")).await.unwrap();
    assert_eq!(stranger.say("MAIL FROM:<>").await.unwrap().codes(), "530 5.7.0");
    assert_eq!(stranger.say("AUTH EXTERNAL =").await.unwrap().codes(), "535 5.7.8");
    assert_eq!(stranger.log_in("campaigns", &world.secret).await.code, 235, "a password is still one");
    let mut nobody = connect(world.tls.clone()).await.unwrap();
    assert_eq!(nobody.say("MAIL FROM:<>").await.unwrap().codes(), "530 5.7.0");
    assert!(connect(showing(&world, &other, SAN)).await.is_err(), "an authority we do not trust");
    drop((stranger, nobody));
    world.finish().await;
}
