use std::os::unix::fs::PermissionsExt;

use std::fs;

use super::*;
use crate::tls::certificate::describe;

const NAME: &str = "mx.host.example";

fn fingerprint(directory: &Path) -> String {
    let chain = pem::certificates(&directory.join(FILE)).expect("it is there");
    describe(&chain).expect("ours").spki_sha256.to_string()
}

#[test]
fn made_once_then_kept() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().join("tls");
    let now = SystemTime::now();
    let mut seen = Vec::new();
    for (name, at, expected) in [
        (NAME, now, Provenance::Made),
        (NAME, now, Provenance::Reused),
        ("MX.host.example", now, Provenance::Reused),
        ("other.example", now, Provenance::RemadeName),
        (
            "other.example",
            now + LIFETIME * 2,
            Provenance::RemadeExpired,
        ),
    ] {
        let (identity, provenance) =
            host_certificate(&directory, name, at).expect("it can be made");
        assert_eq!(provenance, expected, "{name}");
        assert_eq!(identity.names(), [name.to_ascii_lowercase()]);
        seen.push(fingerprint(&directory));
    }
    assert!(seen[0] == seen[1] && seen[1] == seen[2]);
    assert!(seen[2] != seen[3] && seen[3] != seen[4]);
}

#[test]
fn the_key_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    host_certificate(directory.path(), NAME, SystemTime::now()).expect("it can be made");
    let files: Vec<_> = fs::read_dir(directory.path())
        .expect("a directory")
        .map(|file| file.expect("an entry"))
        .collect();
    assert_eq!(files.len(), 1, "no temporary file is left");
    let mode = files[0].metadata().expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_foreign_file_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(FILE);
    fs::write(&path, "precious").expect("written");
    let fault = host_certificate(directory.path(), NAME, SystemTime::now()).expect_err("not ours");
    assert!(
        fault
            .to_string()
            .contains("remove it to have them made again")
    );
    assert_eq!(fs::read_to_string(&path).expect("there"), "precious");
}

#[test]
fn a_host_name_must_be_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let fault =
        host_certificate(directory.path(), "bücher", SystemTime::now()).expect_err("not ASCII");
    assert!(
        fault
            .to_string()
            .starts_with("cannot make a certificate for \"bücher\"")
    );
}
