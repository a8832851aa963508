//! The hub's client against a server that speaks the hub's API on loopback.

mod environment;
mod server;

use std::path::Path;

use oxilab_hub::{Hub, HubError, Kind};
use server::{COMMIT, OTHER, Server};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

const REPO: &str = "org/tiny";

fn hub(server: &Server) -> (Hub, TempDir) {
    let cache = tempfile::tempdir().expect("a folder");
    let hub = Hub::new()
        .with_endpoint(server.endpoint())
        .with_cache(cache.path())
        .with_token("")
        .with_offline(false)
        .quiet();
    (hub, cache)
}

#[test]
fn a_file_lands_in_the_layout_of_huggingface_hub() {
    let server = Server::start();
    let (hub, cache) = hub(&server);
    let path = hub.get(REPO, "config.json").expect("found");
    assert_eq!(std::fs::read_to_string(&path).expect("readable"), "{\"small\": true}");
    let root = cache.path().join("models--org--tiny");
    assert_eq!(path, root.join("snapshots").join(COMMIT).join("config.json"));
    assert_eq!(std::fs::read_to_string(root.join("refs/main")).expect("a ref"), COMMIT);
    let nested = hub.get(REPO, "1_Pooling/config.json").expect("found");
    let link = std::fs::read_link(&nested).expect("a link");
    assert!(link.starts_with("../../../blobs"), "{link:?}");
    assert_eq!(std::fs::read_to_string(nested).expect("readable"), "{}");
}

#[test]
fn large_files_are_checked_and_not_loaded_twice() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let path = hub.get(REPO, "model.safetensors").expect("found");
    assert_eq!(std::fs::read(path).expect("readable"), server.large());
    let before = server.requests().len();
    hub.get(REPO, "model.safetensors").expect("cached");
    let new = server.requests().split_off(before);
    assert!(new.iter().all(|request| request.method == "HEAD"), "{new:?}");
    // A data set's addresses have a word before the name.
    hub.with_kind(Kind::Dataset).get(REPO, "config.json").expect("found");
    assert!(server.requests().iter().any(|r| r.path.starts_with("/datasets/org/tiny/resolve/")));
}

#[test]
fn a_content_with_another_checksum_is_thrown_away() {
    let server = Server::start();
    server.damage();
    let (hub, cache) = hub(&server);
    let error = hub.get(REPO, "model.safetensors").expect_err("damaged");
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    let blobs = cache.path().join("models--org--tiny/blobs");
    assert_eq!(std::fs::read_dir(blobs).expect("a folder").count(), 0);
    let strict = hub.with_sha256("00".repeat(32));
    let error = strict.get(REPO, "config.json").expect_err("another sum").to_string();
    assert!(error.contains("SHA-256"), "{error}");
}

#[test]
fn a_broken_transfer_goes_on_where_it_stopped() {
    let server = Server::start();
    server.break_after(100_000, 1);
    let (hub, _cache) = hub(&server);
    let path = hub.get(REPO, "model.safetensors").expect("resumed in the same call");
    assert_eq!(std::fs::read(path).expect("readable"), server.large());
    let ranges: Vec<String> = server.requests().iter().filter_map(|r| r.range.clone()).collect();
    assert!(ranges.iter().all(|range| range.starts_with("bytes=")) && !ranges.is_empty());
}

#[test]
fn a_server_that_never_gets_on_is_an_error_and_the_next_call_resumes() {
    let server = Server::start();
    server.break_after(100_000, 1);
    server.refuse_after_break();
    let (hub, _cache) = hub(&server);
    let error = hub.get(REPO, "model.safetensors").expect_err("broken");
    let HubError::Broken { got, size, .. } = error else { panic!("{error}") };
    assert!(got > 0 && size == server.large().len() as u64, "{got} of {size}");
    server.heal();
    let path = hub.get(REPO, "model.safetensors").expect("resumed");
    assert_eq!(std::fs::read(path).expect("readable"), server.large());
    let range = server.requests().into_iter().rev().find_map(|request| request.range);
    assert_eq!(range, Some(format!("bytes={got}-")));
}

#[test]
fn the_token_goes_to_the_hub_and_never_to_the_download_host() {
    let server = Server::start();
    server.require_token("hf_secret");
    let (hub, _cache) = hub(&server);
    let error = hub.get(REPO, "config.json").expect_err("private").to_string();
    assert!(error.contains("HF_TOKEN"), "{error}");
    let wrong = hub.clone().with_token("hf_wrong").get(REPO, "config.json").expect_err("refused");
    assert!(!format!("{wrong} {wrong:?}").contains("hf_wrong"));
    hub.with_token("hf_secret").get(REPO, "model.safetensors").expect("allowed");
    let requests = server.requests();
    assert!(requests.iter().any(|r| r.elsewhere), "the large file comes from another host");
    for request in requests {
        if request.elsewhere {
            assert_eq!(request.token, None, "{}", request.path);
        }
    }
}

#[test]
fn a_pinned_commit_is_not_asked_for_again_and_branches_move() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let pinned = hub.clone().with_revision(COMMIT);
    let first = pinned.get(REPO, "config.json").expect("found");
    let before = server.requests().len();
    assert_eq!(pinned.get(REPO, "config.json").expect("cached"), first);
    assert_eq!(server.requests().len(), before);
    server.move_main(OTHER);
    let moved = hub.get(REPO, "config.json").expect("found");
    assert!(moved.ends_with(Path::new(OTHER).join("config.json")), "{moved:?}");
    assert!(first.is_file(), "the old snapshot stays");
}

#[test]
fn offline_takes_the_cache_and_says_what_is_missing() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let path = hub.get(REPO, "config.json").expect("found");
    let before = server.requests().len();
    let offline = hub.clone().with_offline(true);
    assert_eq!(offline.get(REPO, "config.json").expect("cached"), path);
    let error = offline.get(REPO, "model.safetensors").expect_err("not cached").to_string();
    assert!(error.contains("offline") && error.contains("model.safetensors"), "{error}");
    assert_eq!(server.requests().len(), before);
    // A hub that has gone away: what the cache knows is taken.
    drop(server);
    assert_eq!(hub.get(REPO, "config.json").expect("cached"), path);
    let error = hub.get(REPO, "model.safetensors").expect_err("not cached").to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}

#[test]
fn a_snapshot_holds_the_wanted_files_of_one_commit() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let folder = hub.snapshot(REPO, |file| file.ends_with(".json")).expect("found");
    assert!(folder.join("config.json").is_file() && folder.join("1_Pooling/config.json").is_file());
    assert!(!folder.join("model.safetensors").exists());
    assert_eq!(hub.with_offline(true).snapshot(REPO, |_| true).expect("cached"), folder);
}

fn json(file: &str) -> bool {
    file.ends_with(".json")
}

#[test]
fn a_snapshot_in_the_cache_is_there_when_the_hub_is_gone() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let folder = hub.snapshot(REPO, json).expect("found");
    let pinned = hub.clone().with_revision(COMMIT);
    let other = hub.clone().with_revision(OTHER);
    drop(server);
    assert_eq!(hub.snapshot(REPO, json).expect("cached"), folder);
    assert_eq!(pinned.snapshot(REPO, json).expect("cached"), folder);
    for error in [other.snapshot(REPO, json), hub.snapshot("org/absent", json)] {
        let error = error.expect_err("not cached").to_string();
        assert!(error.contains("cannot be reached"), "{error}");
    }
}

#[test]
fn a_hub_with_a_fault_of_its_own_is_as_one_that_is_gone() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let folder = hub.snapshot(REPO, json).expect("found");
    server.go_down();
    assert_eq!(hub.snapshot(REPO, json).expect("cached"), folder);
    assert_eq!(hub.get(REPO, "config.json").expect("cached"), folder.join("config.json"));
    let error = hub.get(REPO, "model.safetensors").expect_err("not cached").to_string();
    assert!(error.contains("not in the cache") && error.contains("503"), "{error}");
}

#[test]
fn a_transfer_of_unknown_size_that_was_whole_is_taken() {
    for more in [0, 7] {
        let server = Server::start();
        server.hide_sizes();
        let (hub, cache) = hub(&server);
        let blobs = cache.path().join("models--org--tiny/blobs");
        std::fs::create_dir_all(&blobs).expect("made");
        let sum = hex::encode(Sha256::digest(server.large()));
        // The process ended right behind the last byte, or what it wrote is of another file.
        let there = [&server.large()[..], &vec![0; more]].concat();
        std::fs::write(blobs.join(format!("{sum}.incomplete")), there).expect("written");
        let path = hub.get(REPO, "model.safetensors").expect("found");
        assert_eq!(std::fs::read(path).expect("readable"), server.large());
    }
}

#[test]
fn the_sum_of_one_file_is_not_asked_of_many() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let error = hub.with_sha256("00".repeat(32)).snapshot(REPO, json).expect_err("refused");
    assert!(error.to_string().contains("one file's"), "{error}");
}

#[test]
fn a_snapshot_of_a_pinned_commit_is_asked_for_once() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let pinned = hub.with_revision(COMMIT);
    let folder = pinned.snapshot(REPO, json).expect("found");
    let before = server.requests().len();
    assert_eq!(pinned.snapshot(REPO, json).expect("cached"), folder);
    assert_eq!(server.requests().len(), before);
    // Files wanted later are loaded, and the list of them is known.
    assert_eq!(pinned.snapshot(REPO, |_| true).expect("found"), folder);
    assert!(folder.join("model.safetensors").is_file());
    let new = server.requests().split_off(before);
    assert!(!new.iter().any(|request| request.path.starts_with("/api/")), "{new:?}");
    drop(server);
    assert_eq!(pinned.snapshot(REPO, |_| true).expect("cached"), folder);
}

#[test]
fn a_branch_whose_new_files_did_not_come_stands_for_the_old_ones() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let old = hub.snapshot(REPO, json).expect("found");
    server.move_main(OTHER);
    server.damage();
    let error = hub.snapshot(REPO, |_| true).expect_err("damaged");
    assert!(matches!(error, HubError::Checksum { .. }), "{error}");
    drop(server);
    assert_eq!(hub.snapshot(REPO, json).expect("cached"), old);
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    let error = hub.get(REPO, "absent.json").expect_err("absent").to_string();
    assert!(error.contains("no such file"), "{error}");
    let error = hub.get("org/absent", "config.json").expect_err("absent").to_string();
    assert!(error.contains("no such repository"), "{error}");
    let error = hub.clone().with_revision("v9").get(REPO, "config.json").expect_err("absent");
    assert!(error.to_string().contains("branch, tag or commit"), "{error}");
    assert!(matches!(hub.get("../x", "y").expect_err("refused"), HubError::Name { .. }));
    assert!(matches!(hub.get(REPO, "../../y").expect_err("refused"), HubError::Name { .. }));
}

#[test]
fn two_at_once_load_a_file_once() {
    let server = Server::start();
    let (hub, _cache) = hub(&server);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| hub.get(REPO, "model.safetensors").expect("found"));
        }
    });
    let loads = server.requests().iter().filter(|r| r.elsewhere && r.method == "GET").count();
    assert_eq!(loads, 1);
}
