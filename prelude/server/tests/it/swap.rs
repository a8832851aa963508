//! New versions under load.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use oxilab_serve::{get_text, monitor, post_json};

use crate::setting::{Setting, old, train, until};

#[test]
fn a_new_version_is_taken_without_a_failed_request() {
    let mut setting = Setting::new();
    train("young", "old", setting.path("one.oxi"));
    train("kid", "adult", setting.path("two.oxi"));
    let alias = setting.path("live.alias");
    fs::write(&alias, "one.oxi").unwrap();
    let url = setting.start(setting.server_of("m", "live.alias").with("--watch", 50));
    let (done, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let client = std::thread::spawn({
        let (done, asked, url) = (Arc::clone(&done), Arc::clone(&asked), format!("{url}/predict"));
        move || {
            while !done.load(Ordering::Relaxed) {
                let said = post_json(&url, &old()).expect("no request fails")["prediction"].clone();
                assert!(said == "old" || said == "adult", "{said}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let says = || post_json(format!("{url}/predict"), &old()).unwrap()["prediction"].clone();
    until("a request", || asked.load(Ordering::Relaxed) > 5);
    setting.point("two.oxi");
    until("the new version answers", || says() == "adult");

    // What is no model is not taken; the one that is loaded answers.
    fs::write(setting.path("next"), b"OXIMODEL but not really").unwrap();
    fs::rename(setting.path("next"), setting.path("two.oxi")).unwrap();
    let failures = "oxilab_model_reload_failures_total{model=\"m\"} 1\n";
    until("the failure is counted", || {
        get_text(format!("{url}/metrics")).unwrap().contains(failures)
    });
    assert_eq!(says(), "adult");
    // Nor does a place that is gone matter.
    fs::remove_file(&alias).unwrap();
    assert_eq!(says(), "adult");
    fs::write(&alias, "one.oxi").unwrap();
    until("the old version is back", || says() == "old");
    done.store(true, Ordering::Relaxed);
    client.join().expect("no request failed");
    assert_eq!(monitor(&url).unwrap().models[0].swaps, 2);
}
