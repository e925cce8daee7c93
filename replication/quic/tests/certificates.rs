//! Certificates that are replaced while bridges stand: taken without a word to anybody, or refused by name.
//!
//! What must always hold: a bridge that stands is not disturbed; what begins afterwards is proven by the new ones; what is refused changes nothing.
#![allow(clippy::unwrap_used)]

mod pair;

use crdt::RegionId;
use pair::{Authority, MadeUpRegion, addresses, name, until};
use replication_quic::{CertificateFiles, Certificates};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// In no cluster: a listener that believes its certificate closes with this code.
const NOBODY: &str = "region-9";
const BELIEVED: Option<u64> = Some(6);

fn copy(from: &CertificateFiles, to: &CertificateFiles) {
    for (from, to) in [(&from.chain, &to.chain), (&from.key, &to.key)] {
        std::fs::copy(from, to).unwrap();
    }
}

fn refused(certificates: &Certificates) -> Option<&'static str> {
    certificates.standing().refused.map(|refused| refused.code())
}

/// Whether a caller with that authority's certificate trusts region 2 and is believed by it.
async fn get_on(authority: &Authority, address: SocketAddr) -> bool {
    let caller = authority.call(&[NOBODY], address, &name(2)).await;
    caller.connection.is_ok() && caller.close_code().await == BELIEVED
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_follows_another_while_a_bridge_stands() {
    let (old, new, addresses) = (Authority::new(), Authority::new(), addresses());
    let (one, two) = (MadeUpRegion::new(1, 0, true), MadeUpRegion::new(2, 0, true));
    let both = [1, 2].map(|region| old.certificates(&name(region)));
    let dialler = one.start(both[0].clone(), &[2], addresses).unwrap();
    let listener = two.start(both[1].clone(), &[1], addresses).unwrap();
    let open = dialler.open();
    until("the bridge is open", || open.borrow().len() == 1).await;
    assert!(get_on(&old, addresses[1]).await && !get_on(&new, addresses[1]).await);

    // Nobody is told of anything: the files are looked at. Below the looks are hurried.
    let authorities = old.files(NOBODY).authorities;
    let both_trusted = |wanted: usize| {
        both.iter().all(|certificates| certificates.standing().authorities_until_s.len() == wanted)
    };
    std::fs::write(&authorities, new.pem() + &old.pem()).unwrap();
    until("both authorities are trusted", || both_trusted(2)).await;
    assert!(get_on(&old, addresses[1]).await);

    for (region, certificates) in [1, 2].into_iter().zip(&both) {
        let before = certificates.certified_key();
        new.certify(&[&name(region)]);
        copy(&new.files(&name(region)), &old.files(&name(region)));
        until("the new certificate is in use", || {
            certificates.look_now();
            certificates.certified_key().cert != before.cert
        })
        .await;
    }
    // Who trusts both is believed still; who trusts the new one alone gets on already.
    assert!(get_on(&new, addresses[1]).await);

    std::fs::write(&authorities, new.pem()).unwrap();
    until("the old authority is trusted no more", || {
        both.iter().for_each(|certificates| certificates.look_now());
        both_trusted(1)
    })
    .await;
    assert!(get_on(&new, addresses[1]).await && !get_on(&old, addresses[1]).await);
    assert_eq!(open.borrow().len(), 1, "the bridge that stood before stands");
    assert_eq!(dialler.counters()[&RegionId(2)].connections.load(Ordering::Relaxed), 1);

    // And the next one is made with the new certificates on both sides.
    listener.stop().await;
    until("the end is noticed", || open.borrow().is_empty()).await;
    let mut again = None;
    until("the socket is free again", || {
        again = two.start(both[1].clone(), &[1], addresses).ok();
        again.is_some()
    })
    .await;
    until("a bridge is open again", || open.borrow().len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_are_not_this_regions_are_refused_by_name_and_the_ones_before_stay() {
    let (authority, stranger, addresses) = (Authority::new(), Authority::new(), addresses());
    let two = MadeUpRegion::new(2, 0, true);
    let certificates = authority.certificates(&name(2));
    let _bridges = two.start(certificates.clone(), &[1], addresses).unwrap();
    let files = authority.files(&name(2));
    let good = [&files.authorities, &files.chain, &files.key].map(|file| std::fs::read(file).unwrap());
    let before = certificates.standing();
    authority.certify(&[&name(3)]);
    stranger.certify(&[&name(2)]);
    authority.certify_until("over", &name(2), (2001, 2002));
    authority.certify_until("to-come", &name(2), (2900, 2901));
    let other = authority.files(&name(3));
    let with_a_leaf = [&good[0][..], &std::fs::read(&other.chain).unwrap()].concat();
    let broken = || std::fs::write(&files.chain, "-----BEGIN CERTIFICATE-----\nnone\n").unwrap();
    let long = || std::fs::write(&files.key, vec![b'\n'; 300_000]).unwrap();
    let cases: [(&str, &dyn Fn()); 9] = [
        ("certificate_unreadable", &broken),
        ("certificate_unreadable", &|| std::fs::remove_file(&files.authorities).unwrap()),
        ("certificate_unreadable", &long),
        // A region's certificate is no authority.
        ("certificate_unreadable", &|| std::fs::write(&files.authorities, &with_a_leaf).unwrap()),
        ("certificate_key_differs", &|| _ = std::fs::copy(&other.key, &files.key).unwrap()),
        ("certificate_of_another", &|| copy(&other, &files)),
        ("certificate_untrusted", &|| copy(&stranger.files(&name(2)), &files)),
        ("certificate_not_now", &|| copy(&authority.files("over"), &files)),
        ("certificate_not_now", &|| copy(&authority.files("to-come"), &files)),
    ];
    for (number, (code, write)) in cases.into_iter().enumerate() {
        write();
        until(&format!("case {number} is refused as {code}"), || {
            certificates.look_now();
            refused(&certificates) == Some(code)
        })
        .await;
        let standing = certificates.standing();
        assert_eq!(
            (standing.region_until_s, &standing.authorities_until_s),
            (before.region_until_s, &before.authorities_until_s)
        );
        assert!(get_on_with(&good[0], &authority, addresses[1]).await, "case {number}");
        for (file, bytes) in [&files.authorities, &files.chain, &files.key].into_iter().zip(&good) {
            std::fs::write(file, bytes).unwrap();
        }
        until("the files are in order again", || {
            certificates.look_now();
            refused(&certificates).is_none()
        })
        .await;
    }
}

/// The same as [`get_on`], while the authority's own file may hold anything.
async fn get_on_with(pem: &[u8], authority: &Authority, address: SocketAddr) -> bool {
    let caller = authority.call_trusting(pem, &[NOBODY], address, &name(2)).await;
    caller.connection.is_ok() && caller.close_code().await == BELIEVED
}

#[tokio::test]
async fn a_region_starts_with_what_is_over_and_says_so_and_not_with_anothers() {
    let authority = Authority::new();
    authority.certify_until("over", &name(2), (2001, 2002));
    let certificates = Certificates::read(authority.files("over"), &name(2)).unwrap();
    let refused = certificates.standing().refused.unwrap();
    assert!(refused.code() == "certificate_not_now" && refused.to_string().contains("over.pem"), "{refused}");
    let refused = Certificates::read(authority.files("over"), &name(1)).unwrap_err();
    assert_eq!(refused.code(), "certificate_of_another");
    assert!(refused.to_string().contains("is not the certificate of region-1"), "{refused}");
}
