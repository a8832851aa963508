//! Crashes while nobody can tell which version is meant, or while one is meant that is no model: the version
//! that answered goes on to do so. A file that holds a path stands for the registry's alias.

use std::fs;
use std::time::Duration;

use oxilab_serve::{get_text, monitor, post_json};
use serde_json::{Value, json};

use crate::setting::{Setting, crash, old, train, until};

struct Served {
    setting: Setting,
    url: String,
}

impl Served {
    /// The version "one" says "old", "two" says "adult", "three" is no model.
    fn start() -> Self {
        let mut setting = Setting::new();
        train("young", "old", setting.path("one.oxi"));
        train("kid", "adult", setting.path("two.oxi"));
        fs::write(setting.path("three.oxi"), b"OXIMODEL but not really").unwrap();
        setting.point("one.oxi");
        let url = setting.start(setting.server_of("m", "live.alias").with("--watch", 50));
        Self { setting, url }
    }

    fn says(&self) -> Option<Value> {
        let answer = post_json(format!("{}/predict", self.url), &old());
        answer.ok().map(|answer| answer["prediction"].clone())
    }

    fn behind(&self) -> Option<String> {
        monitor(&self.url).unwrap().models[0].behind.clone()
    }

    fn logs(&self) -> String {
        self.setting.started[0].logs().unwrap()
    }
}

#[test]
fn a_crash_during_an_outage_leaves_the_version_that_answered() {
    let served = Served::start();
    assert_eq!(served.behind(), None);
    // The version of a swap, not that of the start.
    served.setting.point("two.oxi");
    until("the swap", || served.says() == Some(json!("adult")));
    fs::remove_file(served.setting.path("live.alias")).unwrap();
    until("the outage is seen", || served.behind().is_some());
    let said = served.behind().unwrap();
    assert!(said.contains("cannot be resolved"), "{said}");
    assert!(!said.contains(served.setting.path("").to_str().unwrap()), "{said}");
    crash(&served.url);
    assert_eq!(served.says(), Some(json!("adult")));
    until("it is known", || served.behind() == Some(said.clone()));
    assert!(served.logs().contains("goes on with the version from before"), "{}", served.logs());
    let metrics = get_text(format!("{}/metrics", served.url)).unwrap();
    assert!(metrics.contains("oxilab_model_behind{model=\"m\"} 1\n"), "{metrics}");
    crash(&served.url);
    assert_eq!(served.says(), Some(json!("adult")), "as often as it crashes");

    // The registry is back: with what answers already nothing is loaded, with another version that is.
    served.setting.point("two.oxi");
    until("it has caught up", || served.behind().is_none());
    assert_eq!(monitor(&served.url).unwrap().models[0].swaps, 0);
    served.setting.point("one.oxi");
    until("the alias is followed", || served.says() == Some(json!("old")));
    assert_eq!(served.behind(), None);
}

#[test]
fn a_crash_after_the_alias_moved_to_what_is_no_model_leaves_the_version_that_answered() {
    let served = Served::start();
    served.setting.point("three.oxi");
    until("it is refused", || served.behind().is_some());
    crash(&served.url);
    assert_eq!(served.says(), Some(json!("old")));
    until("it is refused again", || monitor(&served.url).unwrap().models[0].reload_failures == 1);
    let said = served.behind().unwrap();
    assert!(said.contains("cannot be loaded"), "{said}");
    // What is refused is not tried again and again.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(monitor(&served.url).unwrap().models[0].reload_failures, 1);
    let page = get_text(format!("{}/monitor", served.url)).unwrap();
    assert!(page.contains("cannot be loaded"), "{page}");
    served.setting.point("two.oxi");
    until("the alias is followed", || served.says() == Some(json!("adult")));
    assert_eq!(served.behind(), None);
}

#[test]
fn a_version_that_cannot_be_read_just_now_is_tried_until_it_can() {
    let served = Served::start();
    // A link to itself: the system gives no file, and nothing of the model changes when it is gone.
    let reference = served.setting.path("two.oxi.reference.parquet");
    std::os::unix::fs::symlink(&reference, &reference).unwrap();
    served.setting.point("two.oxi");
    until("it cannot be read", || {
        served.behind().is_some_and(|said| said.contains("is tried again"))
    });
    // Several looks.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(served.says(), Some(json!("old")));
    assert_eq!(monitor(&served.url).unwrap().models[0].reload_failures, 1);
    let logs = served.logs();
    assert_eq!(logs.matches("cannot load the new version just now").count(), 1, "{logs}");
    fs::remove_file(&reference).unwrap();
    until("it answers", || served.says() == Some(json!("adult")));
    assert_eq!(served.behind(), None);
}
