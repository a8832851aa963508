//! Aliases that move and go back, in a journal and on a server.

use oxilab_display::Render as _;
use oxilab_track::{self as track, Goal, Journal, TrackError, Tracker};

use crate::fake::Fake;
use crate::setting::{new_journal, turn};

/// Registers `count` versions of a model.
fn versions(folder: &std::path::Path, name: &str, count: u32) {
    let weights = folder.join("weights.bin");
    for number in 0..count {
        std::fs::write(&weights, number.to_string()).expect("written");
        track::register(&weights, name).expect("registered");
    }
}

fn holder(name: &str, alias: &str) -> u32 {
    track::resolve(&format!("models:/{name}@{alias}")).expect("resolved").version
}

#[test]
fn a_journal_goes_back_to_what_a_promotion_replaced() {
    let turn = turn();
    let (folder, path) = new_journal();
    turn.journal(&path);
    versions(folder.path(), "m", 4);
    track::promote("m", 1, "champion").expect("promoted");
    track::promote("m", 3, "champion").expect("promoted");
    track::promote("m", 3, "champion").expect("again changes nothing");
    assert_eq!(track::rollback("m", "champion").expect("back").version, 1, "not the one below");
    assert_eq!(track::rollback("m", "champion").expect("forward").version, 3);

    // Others move aliases as well; the last move that is known leads back.
    Journal::open(&path).expect("opened").set_alias("m", "champion", 4).expect("moved");
    assert_eq!(track::rollback("m", "champion").expect("back").version, 3);
    assert_eq!(holder("m", "champion"), 3);

    // Each alias has a memory of its own; without one it goes to the version below.
    track::promote("m", 2, "staging").expect("promoted");
    assert_eq!(track::rollback("m", "staging").expect("below").version, 1);
    track::promote("m", 1, "first").expect("promoted");
    let error = track::rollback("m", "first").expect_err("nothing before").to_string();
    assert!(error.contains("m@first") && error.contains("no promotion is remembered"), "{error}");
    let error = track::rollback("m", "nobody").expect_err("no such alias");
    assert!(matches!(error, TrackError::NotFound { what: "alias", .. }), "{error}");
    let shown = track::models().expect("listed").render();
    assert!(!shown.plain().contains("previous"), "no alias is made for it: {}", shown.plain());

    // The way back is not a promotion: what had the alias has passed. The version below may never have.
    track::goal("m", &[Goal::at_least("auc", 0.9)]).expect("declared");
    assert_eq!(track::rollback("m", "champion").expect("back").version, 4);
    Journal::open(&path).expect("opened").set_alias("m", "other", 4).expect("moved");
    let error = track::rollback("m", "other").expect_err("version 3 misses the goal");
    assert!(matches!(error, TrackError::Gate { version: 3, .. }), "{error}");
    assert_eq!(holder("m", "other"), 4);
}

#[test]
fn a_server_remembers_for_everybody() {
    let turn = turn();
    let (_folder, path) = new_journal();
    turn.journal_of_a_server(&path, "2");
    let fake = Fake::default();
    fake.register("m", 3);
    let uri = fake.start();
    track::set_uri(&uri).expect("address");
    track::promote("m", 1, "champion").expect("promoted");
    track::promote("m", 3, "champion").expect("promoted");
    fake.see_model("m", |model| {
        assert_eq!(model.aliases["champion"], 3);
        assert_eq!(model.tags["oxilab.promoted.champion"], "3 after 1");
    });

    // Another machine: another journal, the same server.
    let (_elsewhere, other) = new_journal();
    turn.journal_of_a_server(&other, "2");
    track::set_uri("memory:").expect("memory");
    track::set_uri(&uri).expect("address");
    assert_eq!(track::rollback("m", "champion").expect("back").version, 1);
    fake.see_model("m", |model| assert_eq!(model.aliases["champion"], 1));
    assert_eq!(track::rollback("m", "champion").expect("forward").version, 3);

    // The version to go back to may have been deleted: then the one below takes its place.
    fake.delete_version("m", 1);
    assert_eq!(track::rollback("m", "champion").expect("below").version, 2);
    turn.journal(&path);
}

#[test]
fn a_journal_that_is_sent_takes_its_moves_with_it() {
    let turn = turn();
    let (folder, path) = new_journal();
    turn.journal(&path);
    versions(folder.path(), "m", 2);
    track::promote("m", 1, "champion").expect("promoted");
    track::promote("m", 2, "champion").expect("promoted");
    let fake = Fake::default();
    // Somebody else's versions, so that the numbers differ.
    fake.register("m", 5);
    let uri = fake.start();
    track::sync(&uri).expect("sent");
    fake.see_model("m", |model| {
        assert_eq!(model.aliases["champion"], 7);
        assert_eq!(model.tags["oxilab.promoted.champion"], "7 after 6");
    });
    let (_elsewhere, other) = new_journal();
    turn.journal_of_a_server(&other, "2");
    track::set_uri(&uri).expect("address");
    assert_eq!(track::rollback("m", "champion").expect("back").version, 6);
    turn.journal(&path);
}

#[test]
fn a_model_whose_connection_breaks_goes_on_with_the_file_it_was_at() {
    let turn = turn();
    let (folder, path) = new_journal();
    turn.journal_of_a_server(&path, "5");
    let fake = Fake::default();
    track::set_uri(&fake.start()).expect("address");
    let model = folder.path().join("model");
    std::fs::create_dir(&model).expect("made");
    for name in ["a.bin", "b.bin", "c.bin"] {
        std::fs::write(model.join(name), name).expect("written");
    }
    let run = track::start_run("holder").expect("started");
    fake.break_puts(2);
    track::register(&model, "m").expect("registered all the same");
    run.end().expect("ended");
    let puts = fake.puts();
    let sent = |name: &str| puts.iter().filter(|put| *put == name).count();
    assert_eq!(
        [sent("a.bin"), sent("b.bin"), sent("c.bin"), sent("MLmodel")].iter().sum::<usize>(),
        6
    );
    assert_eq!(puts.iter().filter(|put| *put == &puts[0]).count(), 3, "{puts:?}");
    fake.see_model("m", |model| assert_eq!(model.count(), 1));
    turn.journal(&path);
}
