//! `%push`.

use super::{Verb, options, show};

pub(in super::super) static PUSH: Verb = Verb {
    name: &["push"],
    summary: "sends a model to another oxilab server, or writes what KServe needs to run it",
    usage: "%push MODEL to URL [--name X] [--dry-run]\n\
            %push MODEL to kserve [--folder FOLDER] [--image IMAGE] [--dry-run]",
    compose: |words, _| {
        let [model, "to", target, rest @ ..] = words else {
            return Err("a model and where to are needed: `%push churn@prod to URL`".to_owned());
        };
        let rest = options(rest, &["--dry-run"])?;
        let dry = rest.iter().any(|(name, _)| *name == "--dry-run");
        let known: &[&str] =
            if *target == "kserve" { &["--folder", "--image"] } else { &["--name"] };
        for (name, value) in &rest {
            if value.is_some() && !known.contains(name) {
                return Err(format!("`{name}` is not an option"));
            }
        }
        let value =
            |name: &str| rest.iter().find(|(n, _)| *n == name).and_then(|(_, value)| *value);
        if *target == "kserve" {
            let folder = value("--folder").unwrap_or("kserve");
            let image = value("--image").unwrap_or("registry.example/model:latest");
            return Ok(format!(
                "for path in ::oxilab::serve::kserve({model:?}, {folder:?}, {image:?}, {dry})? {{ \
                 ::std::println!(\"{{}}\", path.display()); }}"
            ));
        }
        let name = value("--name").map_or_else(String::new, |name| format!(".with_name({name:?})"));
        let verb = if dry { "dry_run" } else { "send" };
        Ok(show(&format!("::oxilab::serve::Push::new({model:?}, {target:?}){name}.{verb}()?")))
    },
};
